//! The files, their permissions and locks.

use super::*;

fn store() -> (tempfile::TempDir, FileStore) {
    let place = tempfile::tempdir().expect("a place for temporary files");
    let store = FileStore::at(place.path().join("a").join("b"));
    (place, store)
}

fn kept(store: &FileStore) -> Option<Vec<u8>> {
    store
        .load("key")
        .expect("readable")
        .map(|body| body.to_vec())
}

#[test]
fn body_is_stored_replaced_and_removed() {
    let (_place, store) = store();
    assert_eq!(kept(&store), None);
    store.remove("key").expect("nothing to remove");
    store.save("key", b"one").expect("kept");
    store.save("key", b"two").expect("replaced");
    assert_eq!(kept(&store), Some(b"two".to_vec()));
    let names: Vec<_> = fs::read_dir(store.directory()).expect("made").collect();
    assert_eq!(names.len(), 1, "a temporary file was left: {names:?}");
    store.remove("key").expect("removed");
    assert_eq!(kept(&store), None);
}

#[test]
fn body_is_replaced_while_another_program_reads_it() {
    let (_place, store) = store();
    store.save("key", b"one").expect("kept");
    let mut reading = File::open(store.body("key")).expect("there");
    store.save("key", b"two").expect("replaced");
    assert_eq!(kept(&store), Some(b"two".to_vec()));
    let mut read = Vec::new();
    reading.read_to_end(&mut read).expect("still there");
    assert_eq!(read, b"one");
}

#[test]
fn lock_has_one_holder_whose_process_id_others_learn() {
    let (_place, store) = store();
    let held = store.try_lock("name");
    assert!(matches!(held, LockAttempt::Taken(_)), "{held:?}");
    let other = FileStore::at(store.directory());
    match other.try_lock("name") {
        LockAttempt::Busy { pid } => assert_eq!(pid, Some(std::process::id())),
        lock => panic!("{lock:?}"),
    }
    assert!(matches!(other.try_lock("another"), LockAttempt::Taken(_)));
    drop(held);
    assert!(matches!(other.try_lock("name"), LockAttempt::Taken(_)));
}

#[test]
fn unwritable_directory_reports_that_it_has_no_locks() {
    let (place, _) = store();
    let file = place.path().join("file");
    fs::write(&file, "").expect("written");
    let store = FileStore::at(file.join("below"));
    assert!(store.save("key", b"x").is_err());
    assert!(matches!(
        store.try_lock("name"),
        LockAttempt::Unsupported { .. }
    ));
}

#[cfg(unix)]
#[test]
fn exposed_or_linked_files_are_not_read_but_replaced() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let mode = |path: &Path| {
        let found = fs::symlink_metadata(path).expect("there");
        found.permissions().mode() & 0o777
    };
    let (place, store) = store();
    store.save("key", b"one").expect("kept");
    let path = store.body("key");
    assert_eq!((mode(store.directory()), mode(&path)), (0o700, 0o600));

    // Opened to others: not read, replaced by the next, and the directory is closed again.
    for lax in [0o640, 0o604, 0o620, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(lax)).expect("ours");
        let error = store.load("key").expect_err("exposed");
        assert!(error.to_string().contains("others may"), "{error}");
    }
    fs::set_permissions(store.directory(), fs::Permissions::from_mode(0o755)).expect("ours");
    store.save("key", b"two").expect("replaced");
    assert_eq!(kept(&store), Some(b"two".to_vec()));
    assert_eq!((mode(store.directory()), mode(&path)), (0o700, 0o600));

    // A link leads nowhere, and what it points at stays.
    let elsewhere = place.path().join("elsewhere");
    fs::write(&elsewhere, "untouched").expect("written");
    fs::remove_file(&path).expect("ours");
    symlink(&elsewhere, &path).expect("a link");
    assert!(store.load("key").is_err());
    store.save("key", b"three").expect("replaced");
    assert_eq!(kept(&store), Some(b"three".to_vec()));
    assert_eq!(fs::read(&elsewhere).expect("there"), b"untouched");

    // A directory of sessions that is a link is not used at all.
    let linked = place.path().join("linked");
    symlink(store.directory(), &linked).expect("a link");
    assert!(FileStore::at(&linked).save("key", b"x").is_err());
}
