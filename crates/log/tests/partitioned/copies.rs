//! Backup, check, repair and rescue of all partitions.

use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_log::{Care, ErrorCode, PartitionedLog};

use crate::model::{DIR, any, held, open, options, put, subdirectory, value};

const COPY: &str = "/data/copy";

fn open_copy(machine: &SimMachine) -> Arc<PartitionedLog> {
    PartitionedLog::open(Arc::new(machine.clone()), Path::new(COPY), &any()).unwrap()
}

fn damage(machine: &SimMachine, partition: usize, what: &[u8]) {
    let path = subdirectory(partition).join("0000000000000001.seg");
    let mut bytes = machine.contents(&path).unwrap();
    let at = bytes.windows(what.len()).position(|window| window == what).unwrap();
    bytes[at] ^= 1;
    machine.set_contents(&path, &bytes).unwrap();
}

#[test]
fn a_backup_is_added_to_and_opens_with_all_that_was_there() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(4)).unwrap();
    let care = Care::default();
    for round in 0..3_u8 {
        for partition in [0, 2].into_iter().chain((round == 2).then_some(3)) {
            (0..40).for_each(|at| {
                whole.append(Some(partition), &value(&[round, at]), &Default::default()).unwrap();
            });
        }
        let report = whole.backup(Path::new(COPY), &care).unwrap();
        let n = 40 * (u64::from(round) + 1);
        assert_eq!(report.positions, [n, 0, n, if round == 2 { 40 } else { 0 }]);
        assert!(report.files.iter().all(|file| file.is_absolute()));
        let machine = machine.crash(u64::from(round));
        let copy = open_copy(&machine);
        for partition in 0..4 {
            assert_eq!(held(&copy, partition), held(&whole, partition));
        }
        copy.close().unwrap();
        let report = PartitionedLog::check(Arc::new(machine), Path::new(COPY), &care).unwrap();
        assert!(report.ok, "{:?}", report.damage);
        assert_eq!(report.entries, 2 * n + if round == 2 { 40 } else { 0 });
    }
    assert_eq!(whole.backup(Path::new(DIR), &care).unwrap_err().code(), ErrorCode::InvalidArgument);
    let other = PartitionedLog::open(Arc::new(machine.clone()), Path::new("/data/other"), &options(4)).unwrap();
    put(&other, 1, b"of another").unwrap();
    assert_eq!(other.backup(Path::new(COPY), &care).unwrap_err().code(), ErrorCode::InvalidArgument);
    whole.close().unwrap();
    let again = PartitionedLog::backup_of(Arc::new(machine.clone()), Path::new(DIR), Path::new("/data/third"), &care);
    assert_eq!(again.unwrap().positions, [120, 0, 120, 40]);
}

#[test]
fn damage_is_told_repaired_in_place_and_rescued_around() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(3)).unwrap();
    for partition in [0, 1] {
        for at in 0..9_u8 {
            put(&whole, partition, &[100 + at; 90]).unwrap();
        }
    }
    let shared: Arc<dyn Machine> = Arc::new(machine.clone());
    let (dir, care) = (Path::new(DIR), Care::default());
    assert_eq!(PartitionedLog::recover(Arc::clone(&shared), dir, &care).unwrap_err().code(), ErrorCode::Locked);
    whole.close().unwrap();
    assert!(PartitionedLog::check(Arc::clone(&shared), dir, &care).unwrap().ok);
    damage(&machine, 1, &[105; 90]);
    let report = PartitionedLog::check(Arc::clone(&shared), dir, &care).unwrap();
    assert!(!report.ok && report.damage.iter().any(|one| one.path.starts_with(subdirectory(1))), "{report:?}");
    let rescued = PartitionedLog::salvage(Arc::clone(&shared), dir, Path::new(COPY), &care).unwrap();
    assert_eq!((rescued.ok, rescued.kept_entries), (false, 17));
    let copy = open_copy(&machine);
    assert_eq!((copy.partitions(), held(&copy, 0).len(), held(&copy, 1).len()), (3, 9, 8));
    assert_eq!(copy.log(1).unwrap().next_offset(), 9, "offsets are kept");
    copy.close().unwrap();
    let repaired = PartitionedLog::recover(Arc::clone(&shared), dir, &care).unwrap();
    assert_eq!((repaired.ok, repaired.kept_entries), (false, 14));
    let whole = open(&machine, &any()).unwrap();
    assert_eq!((held(&whole, 0).len(), held(&whole, 1).len()), (9, 5));
    whole.close().unwrap();
    assert!(PartitionedLog::check(shared, dir, &care).unwrap().ok);
}

#[test]
fn a_number_of_partitions_that_is_lost_is_found_again_from_those_that_have_messages() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(8)).unwrap();
    put(&whole, 4, b"message").unwrap();
    whole.close().unwrap();
    let (shared, dir): (Arc<dyn Machine>, _) = (Arc::new(machine.clone()), Path::new(DIR));
    machine.set_contents(&dir.join("partitions"), b"nothing").unwrap();
    assert!(!PartitionedLog::check(Arc::clone(&shared), dir, &Care::default()).unwrap().ok);
    assert!(!PartitionedLog::recover(shared, dir, &Care::default()).unwrap().ok);
    assert_eq!(open(&machine, &any()).unwrap().partitions(), 5);
    assert_eq!(held(&open(&machine, &options(8)).unwrap(), 4), [b"message"]);
}
