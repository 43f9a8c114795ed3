//! The root objects, and the parameters that every device has beside the parameter table.

use ipc_proto::ParamType;

use super::schema::{Backing, Info};
use crate::device::live::Live;

/// What the data model has beside the parameter table; all of it read-only. Paths below the root.
pub static OTHERS: &[(&str, ParamType, Backing)] = &[
    ("DeviceInfo.Manufacturer", ParamType::String, Backing::Info(Info::Manufacturer)),
    ("DeviceInfo.ManufacturerOUI", ParamType::String, Backing::Info(Info::Oui)),
    ("DeviceInfo.ModelName", ParamType::String, Backing::Info(Info::ModelName)),
    ("DeviceInfo.ProductClass", ParamType::String, Backing::Info(Info::ProductClass)),
    ("DeviceInfo.SerialNumber", ParamType::String, Backing::Info(Info::SerialNumber)),
    ("DeviceInfo.HardwareVersion", ParamType::String, Backing::Info(Info::HardwareVersion)),
    ("DeviceInfo.SoftwareVersion", ParamType::String, Backing::Info(Info::SoftwareVersion)),
    ("DeviceInfo.UpTime", ParamType::UnsignedInt, Backing::Live(Live::UpTime)),
    ("DeviceInfo.MemoryStatus.Total", ParamType::UnsignedInt, Backing::Live(Live::MemoryTotal)),
    ("DeviceInfo.MemoryStatus.Free", ParamType::UnsignedInt, Backing::Live(Live::MemoryFree)),
    ("ManagementServer.SupportedConnReqMethods", ParamType::String, Backing::Fixed("HTTP")),
    ("ManagementServer.ParameterKey", ParamType::String, Backing::ParameterKey),
];

/// The root object of the data model, and what belongs to it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Root {
    /// TR-181.
    #[default]
    Device,
    /// TR-098.
    InternetGatewayDevice,
}

impl Root {
    /// Its name, without the dot.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "Device",
            Self::InternetGatewayDevice => "InternetGatewayDevice",
        }
    }

    /// Parameters of every Inform (INF-06), below the root.
    pub const fn forced_inform(self) -> &'static [&'static str] {
        match self {
            Self::Device => &[
                "RootDataModelVersion",
                "DeviceInfo.HardwareVersion",
                "DeviceInfo.SoftwareVersion",
                "DeviceInfo.ProvisioningCode",
                "ManagementServer.ParameterKey",
                "ManagementServer.ConnectionRequestURL",
            ],
            Self::InternetGatewayDevice => &[
                "DeviceSummary",
                "DeviceInfo.SpecVersion",
                "DeviceInfo.HardwareVersion",
                "DeviceInfo.SoftwareVersion",
                "DeviceInfo.ProvisioningCode",
                "ManagementServer.ParameterKey",
                "ManagementServer.ConnectionRequestURL",
            ],
        }
    }

    /// What only this root has, with its value.
    pub const fn own(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Device => &[("RootDataModelVersion", "2.17")],
            Self::InternetGatewayDevice => &[
                ("DeviceSummary", "InternetGatewayDevice:1.14[](Baseline:1)"),
                ("DeviceInfo.SpecVersion", "1.0"),
            ],
        }
    }

    /// A path of the parameter table, below this root.
    pub fn rooted(self, path: &str) -> String {
        format!("{}.{}", self.name(), path.strip_prefix("Device.").unwrap_or(path))
    }
}
