use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::tests::TempDir;
use crate::{Access, Change, File, Machine, Operation, RealMachine, Wake, Watch};

const MACHINE: RealMachine = RealMachine;

/// Long enough for any machine; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A wake that hands on what it is told.
fn channel() -> (Wake, Receiver<Change>) {
    let (sender, receiver) = mpsc::channel();
    let wake = move |change| {
        let _ = sender.send(change);
    };
    (Arc::new(wake), receiver)
}

fn watch(dir: &Path) -> (Box<dyn Watch>, Receiver<Change>) {
    let (wake, told) = channel();
    (MACHINE.watch(dir, wake).unwrap(), told)
}

/// Waits until told of this.
fn expect(told: &Receiver<Change>, change: Change) {
    while told.recv_timeout(PATIENCE).unwrap() != change {}
}

fn create(dir: &Path, name: &str) -> Arc<dyn File> {
    MACHINE.create(&dir.join(name)).unwrap()
}

#[test]
fn a_write_and_a_name_are_told() {
    let temp = TempDir::new();
    let file = create(temp.path(), "a");
    let (watch, told) = watch(temp.path());
    assert!(format!("{watch:?}").contains("directory"));
    MACHINE.open(&temp.path().join("a"), Access::Write).unwrap().write_at(&[b"a"], 0).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Contents);
    file.write_at(&[b"b", b"c"], 1).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Contents);
    create(temp.path(), "b");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Names);
    MACHINE.rename(&temp.path().join("b"), &temp.path().join("c")).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Names);
    // Of a rename there are two events, which may come in one read or in two.
    while told.try_recv().is_ok() {}
    MACHINE.unlink(&temp.path().join("c")).unwrap();
    expect(&told, Change::Names);
}

#[test]
fn a_read_is_not_told() {
    let temp = TempDir::new();
    let file = create(temp.path(), "a");
    file.write_at(&[b"a"], 0).unwrap();
    let (_watch, told) = watch(temp.path());
    MACHINE.open(&temp.path().join("a"), Access::Read).unwrap().read_at(&mut [0], 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(file.map(1).unwrap().slice(0..1).as_ref(), b"a");
    create(temp.path(), "last");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Names, "the first that is told");
}

/// True where an inotify descriptor of this process is set on `dir`: of these, a user has a limited number.
fn is_watched_by_the_system(dir: &Path) -> bool {
    let wanted = format!("ino:{:x} ", fs::metadata(dir).unwrap().ino());
    let descriptors = fs::read_dir("/proc/self/fdinfo").unwrap().map(|entry| entry.unwrap().path());
    // Descriptors of other tests come and go.
    let facts = descriptors.filter_map(|path| fs::read_to_string(path).ok());
    facts
        .flat_map(|facts| facts.lines().map(str::to_owned).collect::<Vec<_>>())
        .any(|line| line.starts_with("inotify ") && line.contains(&wanted))
}

#[test]
fn watches_of_one_directory_end_one_by_one() {
    let temp = TempDir::new();
    let file = create(temp.path(), "a");
    let (first, first_told) = watch(temp.path());
    let (second, second_told) = watch(&temp.path().join("."));
    file.write_at(&[b"a"], 0).unwrap();
    expect(&first_told, Change::Contents);
    expect(&second_told, Change::Contents);
    drop(first);
    file.write_at(&[b"a"], 0).unwrap();
    expect(&second_told, Change::Contents);
    // Its wake is gone, and with it the sender.
    assert_eq!(first_told.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    assert!(is_watched_by_the_system(temp.path()));
    drop(second);
    assert!(!is_watched_by_the_system(temp.path()));
    assert_eq!(second_told.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    // The system gives the directory another number now.
    let (_third, third_told) = watch(temp.path());
    file.write_at(&[b"a"], 0).unwrap();
    expect(&third_told, Change::Contents);
}

#[test]
fn a_watch_may_be_dropped_by_its_own_wake_and_a_panic_ends_nothing() {
    let temp = TempDir::new();
    let file = create(temp.path(), "a");
    let own: Arc<Mutex<Option<Box<dyn Watch>>>> = Arc::default();
    let (sender, called) = mpsc::channel();
    let slot = Arc::clone(&own);
    let wake = move |change| {
        drop(slot.lock().unwrap().take());
        sender.send(change).unwrap();
        panic!("a wake that panics");
    };
    // Under the lock: the wake finds the watch in its place.
    let mut place = own.lock().unwrap();
    *place = Some(MACHINE.watch(temp.path(), Arc::new(wake)).unwrap());
    drop(place);
    file.write_at(&[b"a"], 0).unwrap();
    assert_eq!(called.recv_timeout(PATIENCE).unwrap(), Change::Contents);
    assert_eq!(called.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    let (_watch, told) = watch(temp.path());
    file.write_at(&[b"a"], 0).unwrap();
    expect(&told, Change::Contents);
}

#[test]
fn a_removed_directory_is_told() {
    let temp = TempDir::new();
    let dir = temp.path().join("below");
    MACHINE.create_dir_all(&dir).unwrap();
    let (watch, told) = watch(&dir);
    fs::remove_dir(&dir).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Names);
    drop(watch);
    // The path leads to another directory now.
    MACHINE.create_dir_all(&dir).unwrap();
    let (_again, told) = self::watch(&dir);
    create(&dir, "a");
    expect(&told, Change::Names);
}

#[test]
fn only_a_directory_can_be_watched() {
    let temp = TempDir::new();
    create(temp.path(), "file");
    for (name, code) in [("gone", "ENOENT"), ("file", "ENOTDIR")] {
        let error = MACHINE.watch(&temp.path().join(name), channel().0).unwrap_err();
        assert_eq!((error.operation(), error.os_code()), (Operation::Watch, Some(code)), "{error}");
    }
}

/// A watch whose first call lasts until the returned sender is dropped, and says that it has begun.
fn stuck_watch(dir: &Path) -> (Box<dyn Watch>, Receiver<Change>, mpsc::Sender<()>) {
    let (wake, told) = channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let stuck = move |change| {
        wake(change);
        let _ = released.lock().unwrap().recv();
    };
    (MACHINE.watch(dir, Arc::new(stuck)).unwrap(), told, release)
}

#[test]
fn what_happens_meanwhile_is_told_once() {
    let temp = TempDir::new();
    let files = [create(temp.path(), "a"), create(temp.path(), "b")];
    let (_watch, told, release) = stuck_watch(temp.path());
    files[0].write_at(&[b"a"], 0).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Contents);
    for number in 0..100 {
        files[number % 2].write_at(&[b"a"], 0).unwrap();
    }
    create(temp.path(), "c");
    drop(release);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Names);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Contents);
    create(temp.path(), "last");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Names, "nothing else came between");
}

#[test]
fn when_events_are_lost_everybody_is_told() {
    if !alone("when_events_are_lost_everybody_is_told", "everybody was told") {
        return;
    }
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let [busy, quiet] = [TempDir::new(), TempDir::new()];
    let files = [create(busy.path(), "a"), create(busy.path(), "b")];
    let (_stuck, told, release) = stuck_watch(busy.path());
    let (_watch, quiet_told) = watch(quiet.path());
    files[0].write_at(&[b"a"], 0).unwrap();
    expect(&told, Change::Contents);
    // The system merges an event into the one before if they are equal, so the files take turns.
    for number in 0..limit + 10 {
        files[number % 2].write_at(&[b"a"], 0).unwrap();
    }
    assert!(quiet_told.try_recv().is_err());
    drop(release);
    assert_eq!(quiet_told.recv_timeout(PATIENCE).unwrap(), Change::Names);
    println!("everybody was told");
}

/// Runs the test `name` in a process of its own, as it would disturb the others; true in that process, which is to say `done` at the end.
fn alone(name: &str, done: &str) -> bool {
    const CASE: &str = "VARVE_WATCH_ALONE";
    if std::env::var(CASE).is_ok_and(|asked| asked == name) {
        return true;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let name_in_crate = format!("real::watch::tests::{name}");
    let output = child.args([&name_in_crate, "--exact", "--nocapture"]).env(CASE, name).output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains(done), "{words}{}", String::from_utf8_lossy(&output.stderr));
    false
}

#[test]
fn without_inotify_there_is_polling() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    if !alone("without_inotify_there_is_polling", "polling it is") {
        return;
    }
    let temp = TempDir::new();
    let (wake, told) = channel();
    let all = rustix::process::getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..all }).unwrap();
    let watch = MACHINE.watch(temp.path(), wake).unwrap();
    assert!(format!("{watch:?}").contains("Polling"));
    for _ in 0..3 {
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Names);
    }
    // The next one tries again.
    setrlimit(Resource::Nofile, all).unwrap();
    let (watch, told) = self::watch(temp.path());
    assert!(!format!("{watch:?}").contains("Polling"));
    create(temp.path(), "a");
    expect(&told, Change::Names);
    println!("polling it is");
}

#[test]
fn a_write_is_told_soon() {
    let temp = TempDir::new();
    let file = create(temp.path(), "a");
    let (sender, told) = mpsc::channel();
    let wake = move |_| {
        let _ = sender.send(Instant::now());
    };
    let _watch = MACHINE.watch(temp.path(), Arc::new(wake)).unwrap();
    let round = |_| {
        let begun = Instant::now();
        file.write_at(&[b"a"], 0).unwrap();
        told.recv_timeout(PATIENCE).unwrap().saturating_duration_since(begun)
    };
    let mut latencies: Vec<_> = (0..200).map(round).collect();
    latencies.sort();
    // Not asserted: it is the machine's.
    println!("from before the write to the wake: p50 {:?}, p99 {:?}", latencies[100], latencies[198]);
}
