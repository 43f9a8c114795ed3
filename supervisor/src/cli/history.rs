//! The shell's history over its runs: a bounded file of the user's own, without the set of a secret.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use ipc_proto::shown::is_shown;
use nix::{fcntl::OFlag, unistd::geteuid};

/// Lines that are kept.
pub const MAX_LINES: usize = 500;
/// Bytes of a line; longer ones are not kept.
pub const MAX_LINE: usize = 1000;
/// Bytes that are read of a file, whoever wrote it.
const MAX_BYTES: u64 = 1024 * 1024;
/// A file of more lines is written anew when it is read.
const MAX_STALE: usize = 2 * MAX_LINES;

/// The file; whatever goes wrong with it, the shell goes on without.
pub struct HistoryFile(Option<PathBuf>);

impl HistoryFile {
    /// In the user's state directory (XDG Base Directory Specification).
    pub fn of_user() -> Self {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state =
            absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        Self(state.map(|state| state.join("cwmpctl/history")))
    }

    #[cfg(test)]
    fn at(path: &Path) -> Self {
        Self(Some(path.to_owned()))
    }

    /// The newest lines, oldest first; those that `keeps` refuses are left out, and leave the file as well.
    pub fn read(&self, keeps: impl Fn(&str) -> bool) -> Vec<String> {
        let Some(path) = &self.0 else { return Vec::new() };
        let Ok(text) = read(path) else { return Vec::new() };
        let sound = |line: &&str| line.len() <= MAX_LINE && line.chars().all(is_shown) && keeps(line);
        let all: Vec<_> = text.lines().collect();
        let kept: Vec<_> = all.iter().copied().filter(sound).collect();
        let lines: Vec<_> =
            kept.iter().skip(kept.len().saturating_sub(MAX_LINES)).map(|l| (*l).to_owned()).collect();
        if kept.len() < all.len() || all.len() > MAX_STALE {
            // One that cannot be written stays as it is.
            let _ = replace(path, &lines);
        }
        lines
    }

    /// Adds a line, if it can be kept.
    pub fn add(&self, line: &str) {
        if let Some(path) = &self.0 {
            // Without a place to write, without history.
            let _ = append(path, line);
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let file = open(path, OpenOptions::new().read(true))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // Under sudo, HOME may be another user's: nothing of ours goes there.
        if fs::metadata(directory)?.uid() != geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    let mut file = open(path, OpenOptions::new().append(true).create(true))?;
    if file.metadata()?.len() > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    file.write_all(format!("{line}\n").as_bytes())
}

fn replace(path: &Path, lines: &[String]) -> io::Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = open(&new, OpenOptions::new().write(true).create_new(true))?;
    let written = lines.iter().try_for_each(|line| file.write_all(format!("{line}\n").as_bytes()));
    let replaced = written.and_then(|()| fs::rename(&new, path));
    replaced.inspect_err(|_| drop(fs::remove_file(&new)))
}

/// Opens a regular file of our own that nobody else can read, and no link to another.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = options.mode(0o600).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    if metadata.mode() & 0o777 != 0o600 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(file: &HistoryFile) -> Vec<String> {
        file.read(|line| !line.contains("secret"))
    }

    #[test]
    fn lines_come_back_and_only_their_owner_reads_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/history");
        let file = HistoryFile::at(&path);
        assert!(kept(&file).is_empty());
        file.add("one");
        file.add("two");
        assert_eq!(kept(&file), ["one", "two"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        kept(&file);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn it_is_bounded_and_what_may_not_be_kept_leaves_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        let file = HistoryFile::at(&path);
        (0..MAX_STALE + 1).for_each(|n| file.add(&n.to_string()));
        assert_eq!(kept(&file).len(), MAX_LINES);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), MAX_LINES);
        fs::write(&path, format!("good\na secret\nan \u{1b}[2J escape\n\u{202e}\n{}\n", "x".repeat(2000)))
            .unwrap();
        assert_eq!(kept(&file), ["good"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "good\n");
        fs::write(&path, vec![0xff; 2 * 1024 * 1024]).unwrap();
        assert!(kept(&file).is_empty());
        file.add("after");
        assert_eq!(kept(&file), ["after"]);
    }

    #[test]
    fn a_place_that_cannot_be_used_means_no_history() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("other");
        fs::write(&target, "theirs\n").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        for path in [link, target.join("below-a-file"), directory.path().to_owned(), "/proc/none/x".into()] {
            let file = HistoryFile::at(&path);
            file.add("mine");
            assert!(kept(&file).is_empty(), "{}", path.display());
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "theirs\n");
        let none = HistoryFile(None);
        none.add("mine");
        assert!(kept(&none).is_empty());
    }
}
