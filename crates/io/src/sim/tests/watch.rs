//! Watches: who is woken, when, and by what.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{machine, open, path};
use crate::sim::{Fault, SimMachine};
use crate::{Change, Machine, Operation, Watch};

type Told = Arc<Mutex<Vec<Change>>>;

fn watch(machine: &SimMachine, dir: &str) -> (Box<dyn Watch>, Told) {
    let told = Told::default();
    let tell = Arc::clone(&told);
    let watch = machine.watch(Path::new(dir), Arc::new(move |change| tell.lock().unwrap().push(change)));
    (watch.unwrap(), told)
}

fn take(told: &Told) -> Vec<Change> {
    std::mem::take(&mut told.lock().unwrap())
}

#[test]
fn each_change_of_a_directory_is_told_once_when_asked_for() {
    let machine = machine();
    machine.create_dir_all(Path::new("/other")).unwrap();
    let (_other, other_told) = watch(&machine, "/other");
    let (_watch, told) = watch(&machine, "/db");
    assert_eq!(machine.run_watches(), 0);
    let file = machine.create(&path("a")).unwrap();
    assert_eq!(take(&told), [], "not before it is asked for");
    assert_eq!(machine.run_watches(), 1);
    assert_eq!((take(&told), machine.run_watches()), (vec![Change::Names], 0));
    file.write_at(&[b"a"], 0).unwrap();
    file.write_at(&[b"b"], 1).unwrap();
    machine.rename(&path("a"), &path("b")).unwrap();
    assert_eq!(machine.run_watches(), 1);
    assert_eq!(take(&told), [Change::Names, Change::Contents]);
    type Step = (&'static str, Box<dyn Fn(&SimMachine)>, Vec<Change>);
    let steps: Vec<Step> = vec![
        ("nothing written", Box::new(|machine| open(machine, "b").write_at(&[b""], 0).unwrap()), vec![]),
        ("reading", Box::new(|machine| assert_eq!(open(machine, "b").read_at(&mut [0], 0).unwrap(), 1)), vec![]),
        ("syncing", Box::new(|machine| open(machine, "b").sync_data().unwrap()), vec![]),
        ("allocating", Box::new(|machine| open(machine, "b").allocate(4096).unwrap()), vec![Change::Contents]),
        ("punching", Box::new(|machine| open(machine, "b").punch(0..1).unwrap()), vec![Change::Contents]),
        (
            "a lock",
            Box::new(|machine| drop(machine.lock(&path("LOCK")).unwrap())),
            vec![Change::Names, Change::Contents],
        ),
        ("removing", Box::new(|machine| machine.unlink(&path("b")).unwrap()), vec![Change::Names]),
        ("a directory", Box::new(|machine| machine.create_dir_all(&path("d")).unwrap()), vec![Change::Names]),
        (
            "damage",
            Box::new(|machine| machine.set_contents(&path("e"), b"").unwrap()),
            vec![Change::Names, Change::Contents],
        ),
    ];
    for (what, step, expected) in steps {
        step(&machine);
        assert_eq!(machine.run_watches(), usize::from(!expected.is_empty()), "{what}");
        assert_eq!(take(&told), expected, "{what}");
    }
    assert_eq!(take(&other_told), []);
}

#[test]
fn a_watch_ends_when_it_is_dropped_also_by_another_wake() {
    let machine = machine();
    let (second, second_told) = watch(&machine, "/db");
    drop(second);
    let victim: Arc<Mutex<Option<Box<dyn Watch>>>> = Arc::default();
    let (slot, handle) = (Arc::clone(&victim), machine.clone());
    let first = machine.watch(
        Path::new("/db"),
        Arc::new(move |_| {
            drop(slot.lock().unwrap().take());
            handle.create(&path("by-the-wake")).unwrap();
        }),
    );
    let (third, third_told) = watch(&machine, "/db");
    *victim.lock().unwrap() = Some(third);
    machine.create(&path("a")).unwrap();
    assert_eq!(machine.run_watches(), 1);
    assert_eq!((take(&second_told), take(&third_told)), (vec![], vec![]));
    drop(first);
    assert_eq!(machine.run_watches(), 0, "what the wake did concerns nobody any more");
}

#[test]
fn a_watch_fails_as_it_is_told_to_and_changes_nothing() {
    let machine = machine();
    let before = machine.changes();
    machine.inject(Fault::on(Operation::Watch, 24));
    let wake = || Arc::new(|_| {});
    let error = machine.watch(Path::new("/db"), wake()).unwrap_err();
    assert_eq!((error.operation(), error.os_code()), (Operation::Watch, Some("EMFILE")));
    assert_eq!(error.to_string(), "cannot watch /db: Too many open files (os error 24)");
    let _watch = machine.watch(Path::new("/db"), wake()).unwrap();
    assert_eq!(machine.watch(Path::new("/gone"), wake()).unwrap_err().os_code(), Some("ENOENT"));
    assert_eq!(machine.changes(), before);
    open_after_kill(&machine);
}

/// Watches belong to the process.
fn open_after_kill(machine: &SimMachine) {
    let next = machine.kill();
    next.create(&path("a")).unwrap();
    assert_eq!(next.run_watches(), 0);
}

#[test]
fn a_private_map_is_a_copy() {
    let machine = machine();
    let file = super::durable_file(&machine, "a", b"abc");
    let map = file.map_private(3).unwrap();
    file.write_at(&[b"x"], 0).unwrap();
    let at = |position: usize| map.as_ptr().wrapping_add(position);
    // SAFETY: the positions lie in the map, and no reference to its bytes exists.
    unsafe {
        assert_eq!((at(0).read(), at(2).read()), (b'a', b'c'));
        at(1).write(b'y');
    }
    assert_eq!(machine.contents(&path("a")).unwrap(), b"xbc");
    assert!(machine.violations().is_empty());
    assert_eq!((map.len(), map.is_empty(), map.is_faulted()), (3, false, false));
    assert!(file.map_private(0).unwrap().is_empty());
    assert_eq!(file.map_private(4).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    machine.inject(Fault::on(Operation::Map, 12));
    assert_eq!(file.map_private(1).unwrap_err().os_code(), Some("ENOMEM"));
}
