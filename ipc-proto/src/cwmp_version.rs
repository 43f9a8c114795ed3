//! The versions of CWMP, 1.0 to 1.4, and the three namespaces that serve them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A version of CWMP (TR-069 3.7.1, VER-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum CwmpVersion {
    /// 1.0, of TR-069.
    V1_0,
    /// 1.1, of Amendment 1.
    V1_1,
    /// 1.2, of Amendments 2 to 4.
    V1_2,
    /// 1.3, of Amendment 4, which brought SessionTimeout.
    V1_3,
    /// 1.4, of Amendment 5, which brought SupportedCWMPVersions and UseCWMPVersion.
    #[default]
    V1_4,
}

impl CwmpVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [Self::V1_0, Self::V1_1, Self::V1_2, Self::V1_3, Self::V1_4];

    /// As it stands in a header: `1.4`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
            Self::V1_4 => "1.4",
        }
    }

    /// The version of that text, white space around it aside.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|version| version.text() == text)
    }

    /// The namespace of its messages; 1.2 to 1.4 share one (SOAP-01).
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::V1_0 => "urn:dslforum-org:cwmp-1-0",
            Self::V1_1 => "urn:dslforum-org:cwmp-1-1",
            Self::V1_2 | Self::V1_3 | Self::V1_4 => "urn:dslforum-org:cwmp-1-2",
        }
    }

    /// The newest version that a namespace says without further word (VER-02). `cwmp-1-3` and `cwmp-1-4` do not
    /// exist, and ACSs write them all the same.
    pub fn of_namespace(namespace: &str) -> Option<Self> {
        match namespace.strip_prefix("urn:dslforum-org:cwmp-1-")? {
            "0" => Some(Self::V1_0),
            "1" => Some(Self::V1_1),
            "2" | "3" | "4" => Some(Self::V1_3),
            _ => None,
        }
    }

    /// The newest version of the next older namespace (DECISIONS 14).
    pub const fn below(self) -> Option<Self> {
        match self {
            Self::V1_0 => None,
            Self::V1_1 => Some(Self::V1_0),
            Self::V1_2 | Self::V1_3 | Self::V1_4 => Some(Self::V1_1),
        }
    }
}

impl fmt::Display for CwmpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back() {
        for version in CwmpVersion::ALL {
            assert_eq!(CwmpVersion::parse(&format!(" {version}\n")), Some(version));
        }
        assert_eq!(CwmpVersion::parse("1.5"), None);
        assert_eq!(CwmpVersion::parse(""), None);
    }

    #[test]
    fn each_step_down_is_another_namespace() {
        let mut version = CwmpVersion::default();
        let mut namespaces = vec![version.namespace()];
        while let Some(below) = version.below() {
            assert!(below < version);
            namespaces.push(below.namespace());
            version = below;
        }
        let all = ["urn:dslforum-org:cwmp-1-2", "urn:dslforum-org:cwmp-1-1", "urn:dslforum-org:cwmp-1-0"];
        assert_eq!(namespaces, all);
    }

    #[test]
    fn a_namespace_says_its_version() {
        assert_eq!(CwmpVersion::of_namespace("urn:dslforum-org:cwmp-1-0"), Some(CwmpVersion::V1_0));
        assert_eq!(CwmpVersion::of_namespace("urn:dslforum-org:cwmp-1-1"), Some(CwmpVersion::V1_1));
        assert_eq!(CwmpVersion::of_namespace("urn:dslforum-org:cwmp-1-4"), Some(CwmpVersion::V1_3));
        assert_eq!(CwmpVersion::of_namespace("urn:dslforum-org:cwmp-2-0"), None);
    }
}
