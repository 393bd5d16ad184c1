//! What a crash may take and what it may not.

use std::collections::BTreeSet;
use std::path::Path;

use super::{durable_file, images, machine, names, open, path};
use crate::Machine;
use crate::sim::SimMachine;

#[test]
fn what_was_synced_is_there_after_any_crash() {
    let machine = machine();
    let bytes: Vec<u8> = (0..20_000u32).map(|n| n.to_le_bytes()[0] | 1).collect();
    let file = durable_file(&machine, "a", &bytes);
    file.write_at(&[&[9; 5000]], 20_000).unwrap();
    for image in images(&machine, "a", 500) {
        assert_eq!(image.unwrap()[..20_000], bytes);
    }
}

#[test]
fn any_subset_of_unsynced_sectors_may_be_there() {
    let machine = machine();
    let file = durable_file(&machine, "a", &[1; 3 * 512]);
    file.write_at(&[&[2; 3 * 512]], 0).unwrap();
    let whole = |image: &Option<Vec<u8>>| -> Option<Vec<u8>> {
        let sectors = image.as_ref().unwrap().chunks(512);
        sectors.map(|sector| sector.iter().all(|byte| *byte == sector[0]).then_some(sector[0])).collect()
    };
    let images = images(&machine, "a", 2000);
    let seen: BTreeSet<Vec<u8>> = images.iter().filter_map(whole).collect();
    assert_eq!(seen.len(), 8, "{seen:?}");
    let torn = images.iter().filter(|image| whole(image).is_none()).count();
    assert!((10..200).contains(&torn), "{torn} of 2000 images with a torn sector");
    for image in images.iter().flatten() {
        for sector in image.chunks(512) {
            assert!(sector[..256].iter().all(|byte| *byte == sector[0]));
            assert!(sector[256..].iter().all(|byte| *byte == sector[511]));
            assert!(sector[0] >= sector[511], "torn sectors begin with the new half");
        }
    }
}

#[test]
fn a_dirty_sector_may_hold_what_was_written_over() {
    let machine = machine();
    let file = durable_file(&machine, "a", &[0; 512]);
    file.write_at(&[&[1; 100]], 0).unwrap();
    file.write_at(&[&[2; 100]], 100).unwrap();
    let first_only = |image: &Option<Vec<u8>>| image.as_ref().unwrap()[99..101] == [1, 0];
    assert!(images(&machine, "a", 300).iter().any(first_only));
}

#[test]
fn rewriting_the_same_bytes_damages_nothing() {
    let machine = machine();
    let bytes: Vec<u8> = (0..9000u32).map(|n| n.to_le_bytes()[1] ^ n.to_le_bytes()[0]).collect();
    let file = durable_file(&machine, "a", &bytes);
    file.write_at(&[&bytes[700..8000]], 700).unwrap();
    file.write_at(&[&bytes], 0).unwrap();
    assert!(images(&machine, "a", 500).iter().all(|image| image.as_ref() == Some(&bytes)));
}

#[test]
fn length_and_bytes_reach_the_disk_apart() {
    let machine = machine();
    let file = durable_file(&machine, "a", &[1; 100]);
    file.write_at(&[&[2; 4000]], 100).unwrap();
    let (mut zeros, mut short, mut partial, mut whole) = (0, 0, 0, 0);
    for image in images(&machine, "a", 500).into_iter().flatten() {
        assert_eq!(image[..100], [1; 100]);
        match image.len() {
            100 => short += 1,
            4100 if image[512..].iter().all(|byte| *byte == 0) => zeros += 1,
            4100 if image[100..].iter().all(|byte| *byte == 2) => whole += 1,
            101..=4100 => partial += 1,
            other => panic!("a length nobody wrote: {other}"),
        }
    }
    assert!(zeros > 0 && short > 0 && partial > 0 && whole > 0, "{zeros} {short} {partial} {whole}");
}

#[test]
fn nothing_comes_back_from_behind_a_lost_length() {
    let machine = machine();
    let file = durable_file(&machine, "a", &[1; 10]);
    file.write_at(&[&[2; 8000]], 10).unwrap();
    for seed in 0..200 {
        let image = machine.crash(seed);
        let len = image.contents(&path("a")).unwrap().len();
        open(&image, "a").allocate(20_000).unwrap();
        let bytes = image.contents(&path("a")).unwrap();
        assert!(bytes[len..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn an_allocation_is_durable_with_the_sync_and_keeps_the_bytes() {
    let machine = machine();
    let file = durable_file(&machine, "a", &[1; 10]);
    file.allocate(9000).unwrap();
    file.allocate(5).unwrap();
    assert!(images(&machine, "a", 50).iter().any(|image| image.as_ref().unwrap().len() == 10));
    file.sync_data().unwrap();
    for image in images(&machine, "a", 50).into_iter().flatten() {
        assert_eq!((image.len(), &image[..10]), (9000, &[1; 10][..]));
        assert!(image[10..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_hole_reaches_the_disk_like_a_write() {
    let machine = machine();
    let file = durable_file(&machine, "a", &[1; 16_384]);
    assert_eq!(machine.used(), 16_384);
    file.punch(5000..1 << 40).unwrap();
    assert_eq!(machine.used(), 8192);
    assert_eq!(file.len().unwrap(), 16_384);
    let last = |image: &Option<Vec<u8>>| image.as_ref().unwrap()[16_383];
    let seen: BTreeSet<u8> = images(&machine, "a", 100).iter().map(last).collect();
    assert_eq!(seen, BTreeSet::from([0, 1]));
    file.sync_data().unwrap();
    for image in images(&machine, "a", 100).into_iter().flatten() {
        assert!(image[..5000].iter().all(|byte| *byte == 1) && image[5000..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_name_is_durable_after_the_sync_of_its_directory_alone() {
    let machine = machine();
    let file = machine.create(&path("a")).unwrap();
    file.write_at(&[b"abc"], 0).unwrap();
    file.sync_data().unwrap();
    let found = images(&machine, "a", 100);
    assert!(found.iter().any(Option::is_none));
    assert!(found.iter().flatten().all(|bytes| bytes == b"abc") && found.iter().any(Option::is_some));
    machine.sync_dir(Path::new("/db")).unwrap();
    assert!(images(&machine, "a", 100).iter().all(Option::is_some));
}

#[test]
fn a_durable_name_does_not_make_bytes_durable() {
    let machine = machine();
    machine.create(&path("a")).unwrap().write_at(&[&[7; 600]], 0).unwrap();
    machine.sync_dir(Path::new("/db")).unwrap();
    let found = images(&machine, "a", 200);
    assert!(found.iter().all(Option::is_some));
    assert!(found.iter().flatten().any(Vec::is_empty));
    assert!(found.iter().flatten().any(|bytes| *bytes == [7; 600]));
}

#[test]
fn a_removed_name_may_come_back_with_its_bytes_until_the_sync() {
    let machine = machine();
    drop(durable_file(&machine, "a", b"abc"));
    machine.unlink(&path("a")).unwrap();
    assert_eq!(machine.used(), 0);
    let found = images(&machine, "a", 100);
    assert!(found.iter().any(Option::is_none));
    assert!(found.iter().any(Option::is_some) && found.iter().flatten().all(|bytes| bytes == b"abc"));
    machine.sync_dir(Path::new("/db")).unwrap();
    assert!(images(&machine, "a", 100).iter().all(Option::is_none));
}

#[test]
fn a_rename_is_whole_or_absent() {
    let machine = machine();
    drop(durable_file(&machine, "a", b"old"));
    drop(durable_file(&machine, "a.tmp", b"new"));
    machine.rename(&path("a.tmp"), &path("a")).unwrap();
    assert_eq!(machine.contents(&path("a")).unwrap(), b"new");
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let image = machine.crash(seed);
        seen.insert((names(&image), image.contents(&path("a")).unwrap()));
    }
    let [both, one] = [vec!["a".to_owned(), "a.tmp".to_owned()], vec!["a".to_owned()]];
    assert_eq!(seen, BTreeSet::from([(both, b"old".to_vec()), (one, b"new".to_vec())]));
}

#[test]
fn changes_of_names_are_kept_in_any_subset_and_no_file_has_two_names() {
    let machine = machine();
    for name in ["a", "b", "c"] {
        machine.create(&path(name)).unwrap();
    }
    machine.rename(&path("a"), &path("d")).unwrap();
    machine.rename(&path("d"), &path("e")).unwrap();
    machine.unlink(&path("b")).unwrap();
    let seen: BTreeSet<Vec<String>> = (0..3000).map(|seed| names(&machine.crash(seed))).collect();
    assert!(seen.iter().all(|names| names.iter().filter(|name| ["a", "d", "e"].contains(&name.as_str())).count() <= 1));
    for expected in [&[][..], &["c"], &["a"], &["b"], &["d"], &["e"], &["a", "b", "c"], &["c", "e"]] {
        assert!(seen.contains(&expected.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()), "{expected:?}");
    }
}

#[test]
fn a_directory_made_is_durable_at_once() {
    let machine = SimMachine::new(3);
    let dir = Path::new("/a/b/c");
    machine.create_dir_all(dir).unwrap();
    for seed in 0..20 {
        assert!(machine.crash(seed).list(dir).unwrap().is_empty());
    }
    // Whoever made the directory was stopped before the sync of its name: the next one makes up for it.
    let machine = SimMachine::new(3);
    machine.crash_after(1);
    assert!(machine.create_dir_all(Path::new("/a")).is_err());
    assert!(machine.create_dir_all(Path::new("/a/b")).is_err());
    let again = machine.kill();
    again.create_dir_all(Path::new("/a/b")).unwrap();
    assert!((0..50).all(|seed| again.crash(seed).list(Path::new("/a/b")).is_ok()));
}

#[test]
fn equal_seeds_give_equal_images_and_different_ones_do_not() {
    let build = || {
        let machine = machine();
        let file = durable_file(&machine, "a", &[1; 9000]);
        for position in 0..20 {
            file.write_at(&[&[2; 700], &[3; 50]], position * 400).unwrap();
        }
        machine.create(&path("b")).unwrap().write_at(&[b"abc"], 0).unwrap();
        machine
    };
    let (one, other) = (build(), build());
    assert_eq!(one.random(), other.random());
    let of = |machine: &SimMachine| [images(machine, "a", 50), images(machine, "b", 50)];
    assert_eq!(of(&one), of(&other));
    assert!(of(&one)[0].iter().collect::<BTreeSet<_>>().len() > 20);
    assert_ne!(one.crash(1).random(), one.crash(2).random());
    assert_eq!(one.crash(1).random(), other.crash(1).random());
}

#[test]
fn a_crash_of_an_image_takes_nothing_that_the_image_held() {
    let machine = machine();
    durable_file(&machine, "a", &[1; 5000]).write_at(&[&[2; 5000]], 2000).unwrap();
    machine.create(&path("b")).unwrap();
    for seed in 0..100 {
        let image = machine.crash(seed);
        let again = image.crash(seed + 1000);
        assert_eq!(names(&image), names(&again));
        assert_eq!(image.contents(&path("a")).unwrap(), again.contents(&path("a")).unwrap());
        open(&image, "a").write_at(&[&[3; 100]], 0).unwrap();
        assert_ne!(image.contents(&path("a")).unwrap(), machine.contents(&path("a")).unwrap());
    }
}
