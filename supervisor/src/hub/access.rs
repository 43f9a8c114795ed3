//! Who may do what: the kernel says who a caller is, the system's groups say what that means.

use std::ffi::CString;

use ipc_proto::{channel::Peer, control::Request};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// Members may change things.
pub const ADMIN_GROUP: &str = "cwmp-admin";
/// Members may look.
pub const VIEWER_GROUP: &str = "cwmp";

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything: root and the supervisor's own user.
    Root,
    /// Everything but what the ACS has reserved (DECISIONS 37).
    Admin,
    /// Look.
    Viewer,
    /// Nothing.
    Nobody,
}

/// Role and name of a caller: root, the supervisor's own user and group cwmp-admin change; group cwmp looks.
pub fn caller(peer: &Peer) -> (Role, String) {
    let uid = Uid::from_raw(peer.uid);
    // A system whose user database cannot be read still knows root by number.
    let user = User::from_uid(uid).ok().flatten();
    let who = user.as_ref().map_or_else(|| format!("uid {uid}"), |user| user.name.clone());
    if uid.is_root() || uid == nix::unistd::geteuid() {
        return (Role::Root, who);
    }
    let mut groups = vec![Gid::from_raw(peer.gid)];
    if let Some(name) = user.and_then(|user| CString::new(user.name).ok()) {
        groups.extend(getgrouplist(&name, Gid::from_raw(peer.gid)).unwrap_or_default());
    }
    let is_in = |group| {
        let group = Group::from_name(group).ok().flatten();
        group.is_some_and(|group| groups.contains(&group.gid))
    };
    let role = if is_in(ADMIN_GROUP) {
        Role::Admin
    } else if is_in(VIEWER_GROUP) {
        Role::Viewer
    } else {
        Role::Nobody
    };
    (role, who)
}

/// Why this request is refused, if it is.
pub fn refusal(role: Role, who: &str, request: &Request) -> Option<String> {
    match role {
        Role::Root | Role::Admin => None,
        Role::Viewer if !request.changes() => None,
        Role::Viewer => {
            Some(format!("{who} may look but not change: ask root to add {who} to group {ADMIN_GROUP}"))
        }
        Role::Nobody => Some(format!(
            "{who} may neither look nor change: ask root to add {who} to group {VIEWER_GROUP} or {ADMIN_GROUP}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_look_admins_change_others_do_neither() {
        let allowed = |role, request: &Request| refusal(role, "joe", request).is_none();
        for (role, look, change) in [
            (Role::Root, true, true),
            (Role::Admin, true, true),
            (Role::Viewer, true, false),
            (Role::Nobody, false, false),
        ] {
            assert_eq!(allowed(role, &Request::Status), look, "{role:?}");
            assert_eq!(allowed(role, &Request::Save), change, "{role:?}");
        }
        assert!(refusal(Role::Viewer, "joe", &Request::Save).unwrap().contains("cwmp-admin"));
    }

    #[test]
    fn root_is_root_whatever_the_user_database_says() {
        assert_eq!(caller(&Peer { pid: 1, uid: 0, gid: 0 }).0, Role::Root);
        assert_eq!(caller(&Peer { pid: 1, uid: 4_000_000, gid: 4_000_000 }).0, Role::Nobody);
    }
}
