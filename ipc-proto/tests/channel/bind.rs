//! Binding a path, whatever stands there.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
        net,
    },
    path::Path,
    process::Command,
};

use ipc_proto::channel::{Connection, Listener, SocketError};

use crate::Place;

async fn error(path: &Path) -> SocketError {
    Listener::bind(path, 0o600).await.err().expect("bound")
}

#[tokio::test]
async fn a_path_where_a_live_process_listens_is_left_to_it() {
    let place = Place::new();
    let first = Listener::bind(place.socket(), 0o600).await.unwrap();
    assert!(matches!(error(place.socket()).await, SocketError::InUse(path) if path == place.socket()));
    // The question whether it lives came as a connection; the next one still gets through.
    first.accept().await.unwrap();
    let (ours, theirs) = tokio::join!(Connection::connect(place.socket()), first.accept());
    assert!(ours.is_ok() && theirs.is_ok());
}

#[tokio::test]
async fn a_socket_that_a_dead_process_left_is_replaced() {
    let place = Place::new();
    drop(net::UnixListener::bind(place.socket()).unwrap());
    assert!(fs::symlink_metadata(place.socket()).unwrap().file_type().is_socket(), "it was left");
    let listener = Listener::bind(place.socket(), 0o600).await.unwrap();
    let (ours, theirs) = tokio::join!(Connection::connect(place.socket()), listener.accept());
    assert!(ours.is_ok() && theirs.is_ok());
}

#[tokio::test]
async fn what_is_not_a_socket_is_not_touched() {
    let place = Place::new();
    fs::write(place.socket(), "precious").unwrap();
    assert!(matches!(error(place.socket()).await, SocketError::NotASocket(_)));
    assert_eq!(fs::read_to_string(place.socket()).unwrap(), "precious");

    let link = place.file("link");
    symlink(place.socket(), &link).unwrap();
    assert!(matches!(error(&link).await, SocketError::NotASocket(_)));
    assert_eq!(fs::read_link(&link).unwrap(), place.socket());
    assert!(matches!(error(place.directory.path()).await, SocketError::NotASocket(_)));
}

#[tokio::test]
async fn the_longest_path_binds_and_a_longer_one_is_refused_with_its_length() {
    let place = Place::new();
    let room = 107 - place.directory.path().as_os_str().len() - 1;
    let longest = place.file(&"x".repeat(room));
    let listener = Listener::bind(&longest, 0o600).await.unwrap();
    let (ours, theirs) = tokio::join!(Connection::connect(&longest), listener.accept());
    assert!(ours.is_ok() && theirs.is_ok());

    let too_long = place.file(&"x".repeat(room + 1));
    assert!(matches!(error(&too_long).await, SocketError::PathTooLong(_, 108)));
    let error = Connection::connect(&too_long).await.err().expect("connected");
    assert!(matches!(error, SocketError::PathTooLong(_, 108)));
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named() {
    let place = Place::new();
    let path = place.file("none/s");
    let text = error(&path).await.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
}

#[tokio::test]
async fn the_mode_is_as_asked() {
    let place = Place::new();
    for mode in [0o600, 0o660, 0o666] {
        let listener = Listener::bind(place.socket(), mode).await.unwrap();
        assert_eq!(fs::metadata(place.socket()).unwrap().permissions().mode() & 0o7777, mode);
        drop(listener);
        let _ = fs::remove_file(place.socket());
    }
}

/// The umask belongs to the whole process, so the test above runs in processes of its own.
#[test]
fn the_mode_is_as_asked_in_spite_of_the_umask() {
    for umask in ["000", "022", "077"] {
        let output = Command::new("sh")
            .args(["-c", "umask \"$1\" && exec \"$0\" --exact bind::the_mode_is_as_asked"])
            .arg(std::env::current_exe().unwrap())
            .arg(umask)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "umask {umask}: {text}");
    }
}

#[tokio::test]
async fn the_kernel_says_who_connected() {
    let place = Place::new();
    let listener = Listener::bind(place.socket(), 0o600).await.unwrap();
    let _ours = Connection::connect(place.socket()).await.unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    let own = fs::metadata("/proc/self").unwrap();
    assert_eq!(u32::try_from(peer.pid).unwrap(), std::process::id());
    assert_eq!((peer.uid, peer.gid), (own.uid(), own.gid()));
}
