use std::sync::atomic::{AtomicUsize, Ordering};

use keyring_core::api::CredentialStoreApi as _;
use keyring_core::mock;
use tracing::field::{Field, Visit};
use tracing::span;

use super::*;

const KEY: &str = "5e55107";
const LIMIT: usize = 2400;
/// Nothing here answers late, but for what never answers.
const LONG: Duration = Duration::from_secs(600);

struct Place {
    store: KeyringStore,
    files: FileStore,
    keyring: Arc<mock::Store>,
    _directory: tempfile::TempDir,
}

fn place() -> Place {
    let directory = tempfile::tempdir().expect("a place for temporary files");
    let files = FileStore::at(directory.path().join("files"));
    let keyring = mock::Store::new().expect("a keyring");
    let opened = keyring.clone();
    Place {
        store: KeyringStore::with(files.clone(), move || Ok(opened.clone()), LIMIT, LONG),
        files,
        keyring,
        _directory: directory,
    }
}

impl Place {
    /// Every entry that has something, by name.
    fn entries(&self) -> Vec<(String, usize)> {
        let mut found: Vec<_> = self
            .keyring
            .search(&[("service", "ssm-tunnel MFA")].into())
            .expect("searched")
            .into_iter()
            .filter_map(|entry| {
                let (_, name) = entry.get_specifiers()?;
                Some((name, entry.get_secret().ok()?.len()))
            })
            .collect();
        found.sort();
        found
    }

    fn entry(&self, name: &str) -> keyring_core::Entry {
        self.keyring
            .build("ssm-tunnel MFA", name, None)
            .expect("an entry")
    }

    fn fail_next(&self, name: &str, error: Error) {
        let entry = self.entry(name);
        let mock: &mock::Cred = entry.as_any().downcast_ref().expect("a mock");
        mock.set_error(error);
    }
}

fn kept(store: &impl SessionStore) -> Option<Vec<u8>> {
    store.load(KEY).expect("readable").map(|body| body.to_vec())
}

fn body(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}

fn broken() -> Error {
    Error::PlatformFailure("the bus is gone".into())
}

#[test]
fn body_of_any_size_is_stored_in_entries_below_the_limit() {
    let first = LIMIT - entries::HEADER;
    for (size, count) in [
        (0, 1),
        (1, 1),
        (first, 1),
        (first + 1, 2),
        (2400, 2),
        (2401, 2),
        (first + 2400, 2),
        (first + 2401, 3),
        (10_000, 5),
        (64 << 10, 28),
    ] {
        let place = place();
        place.store.save(KEY, &body(size)).expect("kept");
        assert_eq!(kept(&place.store), Some(body(size)), "{size}");
        let entries = place.entries();
        assert_eq!(entries.len(), count, "{size}: {entries:?}");
        assert!(
            entries.iter().all(|(_, size)| *size <= LIMIT),
            "{entries:?}"
        );
        assert_eq!(kept(&place.files), None, "a copy in clear");

        place.store.remove(KEY).expect("removed");
        assert_eq!(kept(&place.store), None);
        assert_eq!(place.entries(), []);
    }
}

#[test]
fn replacement_is_complete_or_leaves_the_old_session() {
    let place = place();
    for size in [10_000, 1, 2401, 9_999, 0] {
        place.store.save(KEY, &body(size)).expect("kept");
        assert_eq!(kept(&place.store), Some(body(size)));
    }
    assert_eq!(place.entries().len(), 1);

    // The writer dies before the first entry: the old session is whole.
    place.store.save(KEY, &body(10_000)).expect("kept");
    let before = place.entries();
    let first = place.entry(KEY).get_secret().expect("there");
    place.store.save(KEY, &body(9_000)).expect("kept");
    for (name, size) in before.iter().skip(1) {
        assert!(place.entry(name).get_secret().is_err(), "{name} stays");
        let number: usize = name
            .rsplit('.')
            .next()
            .expect("one")
            .parse()
            .expect("a number");
        let start = LIMIT - entries::HEADER + (number - 1) * LIMIT;
        let chunk = &body(10_000)[start..start + size];
        place.entry(name).set_secret(chunk).expect("as before");
    }
    place.entry(KEY).set_secret(&first).expect("as before");
    assert_eq!(kept(&place.store), Some(body(10_000)));
}

type Damage<'a> = &'a dyn Fn(&Place);

#[test]
fn damaged_entry_is_not_used_but_replaced() {
    let damage: [(&str, Damage); 8] = [
        ("count, too few", &|place| set_byte(place, KEY, 9, 4)),
        ("count, too many", &|place| set_byte(place, KEY, 9, 6)),
        ("count, absurd", &|place| set_byte(place, KEY, 9, 255)),
        ("count, none", &|place| set_byte(place, KEY, 9, 0)),
        ("set", &|place| set_byte(place, KEY, 8, 7)),
        ("chunk", &|place| {
            set_byte(place, &further(place, 2), 100, 0xff);
        }),
        ("no chunk", &|place| {
            let entry = place.entry(&further(place, 3));
            entry.delete_credential().expect("removed");
        }),
        ("another's entry", &|place| {
            place.entry(KEY).set_secret(b"ssm").expect("written");
        }),
    ];
    for (what, damage) in damage {
        let place = place();
        place.store.save(KEY, &body(10_000)).expect("kept");
        damage(&place);
        let error = place.store.load(KEY).expect_err(what);
        assert_eq!(
            error.to_string(),
            "the system's keyring: an entry is damaged",
            "{what}"
        );
        place.store.save(KEY, &body(5_000)).expect(what);
        assert_eq!(kept(&place.store), Some(body(5_000)), "{what}");
        place.store.remove(KEY).expect(what);
        assert_eq!(place.entries(), [], "{what}");
    }

    fn set_byte(place: &Place, name: &str, at: usize, to: u8) {
        let entry = place.entry(name);
        let mut secret = entry.get_secret().expect("there");
        assert_ne!(secret[at], to, "no damage");
        secret[at] = to;
        entry.set_secret(&secret).expect("written");
    }

    fn further(place: &Place, number: usize) -> String {
        place.entries()[number].0.clone()
    }
}

#[test]
fn duplicate_entries_of_a_name_are_replaced_by_one() {
    let place = place();
    let twin = place.entry("twin");
    twin.set_secret(b"another's").expect("written");
    let several = || Error::Ambiguous(vec![place.entry("twin")]);
    // The mock fails once: the second reading finds nothing at all.
    place.fail_next(KEY, several());
    assert_eq!(kept(&place.store), None);
    place.fail_next(&format!("{KEY}.0.1"), several());
    place.store.save(KEY, &body(10_000)).expect("kept");
    assert_eq!(kept(&place.store), Some(body(10_000)));
    assert!(twin.get_secret().is_err(), "it stays");
    twin.set_secret(b"another's").expect("written");
    place.fail_next(KEY, several());
    place.store.remove(KEY).expect("removed");
    assert!(twin.get_secret().is_err(), "it stays");
}

#[test]
fn missing_keyring_warns_once_and_leaves_sessions_to_files() {
    let directory = tempfile::tempdir().expect("a place for temporary files");
    let files = FileStore::at(directory.path());
    let openings = Arc::new(AtomicUsize::new(0));
    let counted = openings.clone();
    let open = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(broken())
    };
    let store = KeyringStore::with(files.clone(), open, LIMIT, LONG);
    let log = logged(|| {
        store.save(KEY, b"one").expect("kept");
        assert_eq!(kept(&store.clone()), Some(b"one".to_vec()));
        assert_eq!(kept(&files), Some(b"one".to_vec()));
        store.remove(KEY).expect("nothing was ever in a keyring");
        assert_eq!(kept(&files), None);
    });
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].contains("the bus is gone"), "{log:?}");
    assert_eq!(openings.load(Ordering::SeqCst), 1);
}

#[test]
fn failed_keyring_is_abandoned_and_logout_reports_it() {
    let place = place();
    place.store.save(KEY, b"one").expect("kept");
    let log = logged(|| {
        place.fail_next(KEY, broken());
        place.store.save(KEY, b"two").expect("kept");
        assert_eq!(kept(&place.store), Some(b"two".to_vec()));
        assert_eq!(kept(&place.files), Some(b"two".to_vec()));
        let error = place.store.remove(KEY).expect_err("one is still there");
        assert!(error.to_string().contains("the bus is gone"), "{error}");
    });
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(kept(&place.files), None);
}

#[test]
fn keyring_that_hangs_or_panics_is_abandoned() {
    let (never, dialog) = channel::<()>();
    let dialog = Mutex::new(dialog);
    let hangs = move || {
        let _ = dialog.lock().map(|dialog| dialog.recv());
        Err(broken())
    };
    let panics = || panic!("a fault of the library");
    let stores: [(&str, Arc<Open>, Duration); 2] = [
        ("no answer", Arc::new(hangs), Duration::from_millis(1)),
        ("library", Arc::new(panics), LONG),
    ];
    for (problem, open, patience) in stores {
        let directory = tempfile::tempdir().expect("a place for temporary files");
        let files = FileStore::at(directory.path());
        let store = KeyringStore::with(files.clone(), move || open(), LIMIT, patience);
        let log = logged(|| store.save(KEY, b"one").expect("kept"));
        assert!(log.len() == 1 && log[0].contains(problem), "{log:?}");
        assert_eq!(kept(&files), Some(b"one".to_vec()));
    }
    drop(never);
}

#[test]
fn file_session_is_used_until_the_keyring_has_one() {
    let place = place();
    place.files.save(KEY, b"file").expect("kept");
    assert_eq!(kept(&place.store), Some(b"file".to_vec()));
    place.store.save(KEY, b"keyring").expect("kept");
    assert_eq!(kept(&place.store), Some(b"keyring".to_vec()));
    assert_eq!(kept(&place.files), None);
}

#[test]
fn locks_are_those_of_the_file_store() {
    let place = place();
    let held = place.store.try_lock("name");
    assert!(matches!(held, LockAttempt::Taken(_)), "{held:?}");
    assert!(matches!(
        place.files.try_lock("name"),
        LockAttempt::Busy { .. }
    ));
}

#[test]
fn stored_contents_reach_no_log_error_or_debug_output() {
    const MARKER: &str = "pl4nted";
    let place = place();
    let log = logged(|| {
        place.store.save(KEY, MARKER.as_bytes()).expect("kept");
        let shown = format!("{:?}", place.store);
        assert!(!shown.contains(MARKER) && shown.contains("KeyringStore"));
        let raw = || MARKER.as_bytes().to_vec();
        for error in [
            Error::BadEncoding(raw()),
            Error::BadDataFormat(raw(), MARKER.into()),
            Error::BadStoreFormat(MARKER.to_owned()),
            Error::Ambiguous(vec![place.entry(KEY)]),
            Error::Invalid(MARKER.to_owned(), MARKER.to_owned()),
        ] {
            assert!(!entries::told(error).contains(MARKER));
        }
        place.fail_next(KEY, Error::BadStoreFormat(MARKER.to_owned()));
        assert_eq!(kept(&place.store), None);
    });
    assert!(log.len() == 1 && !log[0].contains(MARKER), "{log:?}");
}

#[test]
#[ignore = "needs a keyring: tests/keyring.sh"]
fn system_keyring_keeps_sessions() {
    let directory = tempfile::tempdir().expect("a place for temporary files");
    let files = FileStore::at(directory.path());
    let another = |limit| KeyringStore::with(files.clone(), system::open, limit, LONG);
    for limit in [system::LIMIT, LIMIT] {
        for size in [0, 1, 10_000, 3, 64 << 10] {
            let log = logged(|| {
                another(limit).save(KEY, &body(size)).expect("kept");
                assert_eq!(kept(&another(limit)), Some(body(size)), "{size}");
            });
            assert!(log.is_empty(), "{log:?}");
            assert_eq!(kept(&files), None, "a copy in clear");
        }
    }
    another(LIMIT).remove(KEY).expect("removed");
    assert_eq!(kept(&another(LIMIT)), None);
}

#[test]
#[ignore = "needs a system without a keyring: tests/keyring.sh"]
fn system_without_a_keyring_uses_files() {
    let directory = tempfile::tempdir().expect("a place for temporary files");
    let files = FileStore::at(directory.path());
    let store = KeyringStore::new(files.clone());
    let log = logged(|| {
        store.save(KEY, b"one").expect("kept");
        store.save(KEY, b"two").expect("kept");
    });
    assert_eq!(kept(&files), Some(b"two".to_vec()));
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].contains("no keyring"), "{log:?}");
}

/// What is logged on this thread meanwhile.
fn logged(work: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), work);
    let lines = log.0.lock().expect("no panic");
    lines.clone()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().expect("no panic").push(line.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}
