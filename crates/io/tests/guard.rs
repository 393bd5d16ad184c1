//! Maps whose pages cannot be read. Each case runs in a process of its own, which a wrong handler may end.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::ffi::{c_int, c_void};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{ptr, thread};

use varve_io::{Access, File, Machine, RealMachine};

/// Set in the processes that the tests start, to the name of the case.
const CASE: &str = "VARVE_GUARD_CASE";

/// Of each file here: some pages, whatever their size.
const LEN: usize = 256 * 1024;

/// A directory that is removed by the process that waits, whatever becomes of the one that works.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("varve-guard-{:016x}", RealMachine::new().random()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the test `name` again, in a process that does `case`.
fn child(name: &str, case: &str) -> ExitStatus {
    let temp = TempDir::new();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASE, case)
        .env("TMPDIR", &temp.0)
        .output()
        .unwrap();
    if !output.status.success() {
        println!("{case}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    output.status
}

/// True in the process that is to do `case`.
fn is_child(case: &str) -> bool {
    std::env::var(CASE).is_ok_and(|asked| asked == case)
}

/// A file of sevens.
fn file(name: &str) -> (PathBuf, Arc<dyn File>) {
    let path = std::env::temp_dir().join(name);
    fs::write(&path, vec![7; LEN]).unwrap();
    let file = RealMachine::new().open(&path, Access::Write).unwrap();
    (path, file)
}

fn cut(path: &PathBuf, len: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

/// Reads beyond the end of a file, in a map that nobody guards.
fn fault_outside() {
    let (path, _) = file("outside");
    // SAFETY: an address of the system's choice; the result is checked, and read by no reference.
    let read = unsafe {
        let fd = fs::File::open(&path).unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&fd);
        let base = libc::mmap(ptr::null_mut(), LEN, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
        assert_ne!(base, libc::MAP_FAILED);
        cut(&path, 0);
        base.cast::<u8>().read_volatile()
    };
    panic!("the read went on with {read}");
}

/// Lets the guard be installed.
fn any_map() {
    let (_, file) = file("any");
    assert!(!file.map(LEN as u64).unwrap().is_faulted());
}

#[test]
fn a_page_that_cannot_be_read_is_zeros_and_flags_its_map() {
    const NAME: &str = "a_page_that_cannot_be_read_is_zeros_and_flags_its_map";
    if !is_child("shared") {
        assert!(child(NAME, "shared").success());
        return;
    }
    let (path, file) = file("a");
    let (_, other) = self::file("b");
    let (map, other) = (file.map(LEN as u64).unwrap(), other.map(LEN as u64).unwrap());
    let again = file.map(LEN as u64).unwrap();
    assert!(map.slice(0..LEN).iter().all(|byte| *byte == 7));
    cut(&path, 64 * 1024);
    assert!(map.slice(0..64 * 1024).iter().all(|byte| *byte == 7));
    assert!(!map.is_faulted());
    assert!(map.slice(64 * 1024..LEN).iter().all(|byte| *byte == 0));
    assert!(map.is_faulted());
    assert!(map.slice(0..64 * 1024).iter().all(|byte| *byte == 7), "pages beside it are still there");
    assert!(!other.is_faulted() && !again.is_faulted());
    assert!(other.slice(0..LEN).iter().all(|byte| *byte == 7));
    // A slot that is used again forgets.
    drop(map);
    let next = self::file("c").1.map(LEN as u64).unwrap();
    assert!(!next.is_faulted());
}

#[test]
fn a_private_map_can_be_written_to_where_it_could_not_be_read() {
    const NAME: &str = "a_private_map_can_be_written_to_where_it_could_not_be_read";
    if !is_child("private") {
        assert!(child(NAME, "private").success());
        return;
    }
    let (path, file) = file("a");
    let map = file.map_private(LEN as u64).unwrap();
    let at = |position: usize| map.as_ptr().wrapping_add(position);
    // SAFETY: all positions lie in the map, and no reference to its bytes exists.
    unsafe {
        assert_eq!(at(LEN - 1).read(), 7);
        cut(&path, 0);
        assert!(!map.is_faulted());
        at(LEN - 1).write_volatile(9);
        assert!(map.is_faulted());
        assert_eq!((at(LEN - 2).read_volatile(), at(LEN - 1).read_volatile()), (0, 9));
        at(0).write_volatile(5);
        assert_eq!(at(0).read_volatile(), 5);
    }
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn a_fault_outside_of_all_maps_ends_the_process() {
    const NAME: &str = "a_fault_outside_of_all_maps_ends_the_process";
    // What the runtime of the tests has installed; what the system does by itself; a signal that is ignored cannot be a fault that is.
    for (case, before) in [("runtime", None), ("default", Some(libc::SIG_DFL)), ("ignored", Some(libc::SIG_IGN))] {
        if !is_child(case) {
            if std::env::var(CASE).is_err() {
                assert_eq!(child(NAME, case).signal(), Some(libc::SIGBUS), "{case}");
            }
            continue;
        }
        if let Some(before) = before {
            // SAFETY: two actions of the system's own.
            unsafe { libc::signal(libc::SIGBUS, before) };
        }
        any_map();
        fault_outside();
    }
}

#[test]
fn a_signal_that_is_sent_does_what_it_did_before() {
    const NAME: &str = "a_signal_that_is_sent_does_what_it_did_before";
    for (case, before, end) in [("sent", libc::SIG_DFL, Some(libc::SIGBUS)), ("sent-ignored", libc::SIG_IGN, None)] {
        if !is_child(case) {
            if std::env::var(CASE).is_err() {
                assert_eq!(child(NAME, case).signal(), end, "{case}");
            }
            continue;
        }
        // SAFETY: an action of the system's own; a signal to this process.
        unsafe {
            libc::signal(libc::SIGBUS, before);
            any_map();
            libc::raise(libc::SIGBUS);
        }
    }
}

#[test]
fn a_map_that_is_dropped_is_guarded_no_more() {
    const NAME: &str = "a_map_that_is_dropped_is_guarded_no_more";
    if !is_child("dropped") {
        assert_eq!(child(NAME, "dropped").signal(), Some(libc::SIGBUS));
        return;
    }
    let (path, file) = file("a");
    let map = file.map(LEN as u64).unwrap();
    let std::borrow::Cow::Borrowed(bytes) = map.slice(0..1) else { panic!("a real map lends") };
    let place = bytes.as_ptr().cast_mut().cast::<c_void>();
    drop(map);
    let fd = fs::File::open(&path).unwrap();
    // SAFETY: the place is free, so the system takes the advice; the result is checked, and read by no reference.
    unsafe {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&fd);
        let base = libc::mmap(place, LEN, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
        assert_eq!(base, place);
        cut(&path, 0);
        base.cast::<u8>().read_volatile();
    }
}

extern "C" fn with_facts(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system's description of the signal; the process ends here.
    unsafe {
        let whole = signal == libc::SIGBUS && !(*info).si_addr().is_null() && !context.is_null();
        libc::_exit(if whole { 42 } else { 1 });
    }
}

extern "C" fn with_number(signal: c_int) {
    // SAFETY: ends the process.
    unsafe { libc::_exit(if signal == libc::SIGBUS { 43 } else { 1 }) }
}

#[test]
fn a_fault_outside_of_all_maps_goes_to_the_handler_before() {
    const NAME: &str = "a_fault_outside_of_all_maps_goes_to_the_handler_before";
    let handlers = [
        ("facts", with_facts as *const () as usize, libc::SA_SIGINFO, 42),
        ("number", with_number as *const () as usize, 0, 43),
    ];
    for (case, handler, flags, code) in handlers {
        if !is_child(case) {
            if std::env::var(CASE).is_err() {
                assert_eq!(child(NAME, case).code(), Some(code), "{case}");
            }
            continue;
        }
        // SAFETY: a structure without pointers, and a handler of the kind that the flags name.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            (action.sa_sigaction, action.sa_flags) = (handler, flags);
            assert_eq!(libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()), 0);
        }
        any_map();
        // Ours are served all the same.
        let (path, file) = file("a");
        let map = file.map(LEN as u64).unwrap();
        cut(&path, 0);
        assert_eq!(map.slice(0..1).as_ref(), [0]);
        fault_outside();
    }
}

#[test]
fn maps_come_and_go_while_others_fault() {
    const NAME: &str = "maps_come_and_go_while_others_fault";
    if !is_child("stress") {
        assert!(child(NAME, "stress").success());
        return;
    }
    let done = AtomicBool::new(false);
    let (_, file) = file("whole");
    thread::scope(|scope| {
        // More than a slab holds.
        let held: Vec<_> = (0..200).map(|_| file.map(LEN as u64).unwrap()).collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let map = file.map(LEN as u64).unwrap();
                    assert_eq!(map.slice(LEN - 1..LEN).as_ref(), [7]);
                    assert!(!map.is_faulted());
                }
            });
        }
        let faulting: Vec<_> = (0..3)
            .map(|number| {
                scope.spawn(move || {
                    for round in 0..200 {
                        let (path, file) = self::file(&format!("cut-{number}"));
                        let map = file.map(LEN as u64).unwrap();
                        assert!(!map.is_faulted());
                        cut(&path, 0);
                        assert!(map.slice(0..LEN).iter().all(|byte| *byte == 0), "{number} in round {round}");
                        assert!(map.is_faulted());
                    }
                })
            })
            .collect();
        let outcomes: Vec<_> = faulting.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(outcomes.iter().all(Result::is_ok));
        assert!(held.iter().all(|map| !map.is_faulted()));
    });
}
