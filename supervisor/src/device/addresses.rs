//! Addresses of this device: which one leads to the ACS, and when that may have changed (rtnetlink(7)).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

use nix::{
    libc,
    sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket},
};
use tokio::{net::UnixDatagram, time::sleep};

/// Addresses and routes of both families.
const GROUPS: i32 =
    libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_IFADDR | libc::RTMGRP_IPV6_ROUTE;
/// Messages that are taken in one go at the most; what is left wakes us again.
const MAX_MESSAGES: usize = 4096;

/// The kernel's word that an address or a route has changed.
///
/// Of the kinds of socket that tokio takes, a Unix one asks no more of a descriptor than that it has messages.
pub struct Changes(UnixDatagram);

impl Changes {
    /// Listens from now on.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS.cast_unsigned()))?;
        Ok(Self(UnixDatagram::from_std(socket.into())?))
    }

    /// Waits for a change, and until `damping` after it: changes come in swarms.
    pub async fn next(&mut self, damping: Duration) -> io::Result<()> {
        self.0.readable().await?;
        sleep(damping).await;
        for _ in 0..MAX_MESSAGES {
            // What they say is not looked at.
            match self.0.try_recv(&mut [0; 64]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Too many to keep: changes all the same.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                result => drop(result?),
            }
        }
        Ok(())
    }
}

/// The address from which the kernel would send to `peer`. Nothing is sent.
pub fn source_towards(peer: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Any port: connecting a UDP socket only chooses the route.
    socket.connect((peer, 7547)).ok()?;
    Some(socket.local_addr().ok()?.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_reached_from_itself() {
        let local = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(source_towards(local), Some(local));
    }
}
