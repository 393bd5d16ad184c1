//! Changing what a log is made with: settings and compression change, and nothing else does, at whatever step it is interrupted.

use std::path::Path;

use varve_io::sim::SimMachine;
use varve_log::{Care, Codec, Compression, ErrorCode, Log, LogOptions, Migrate, Result};
use varve_testkit::Rng;

use crate::care::{at_every_step, check, files, is_whole, log, shared};
use crate::model::{DIR, Known, check as compare, open, open_with, options, seed};

fn migrate(machine: &SimMachine, to: &Migrate) -> Result<()> {
    let mut migration = Log::migrate(shared(machine), Path::new(DIR), to, &Care::default())?;
    while migration.step(&Care::default())? {}
    Ok(())
}

#[test]
fn a_migration_changes_settings_and_compression_and_nothing_else() {
    let mut rng = Rng::new(seed());
    for _ in 0..5 {
        let (machine, known) = log(&mut rng);
        let codecs = [Codec::None, Codec::Snappy, Codec::Lz4, Codec::Gzip, Codec::Zstd];
        for codec in codecs {
            let compression = Some(Compression { codec, level: None });
            migrate(&machine, &Migrate { compression, ..Migrate::default() }).unwrap();
            let before = open(&machine.kill()).unwrap();
            is_whole(&open(&machine.kill()).unwrap(), &known, &before, &mut rng);
            let report = check(&machine, DIR).unwrap();
            assert!(report.ok && report.damage.is_empty(), "{codec:?}: {:?}", report.damage);
        }
        let off = Migrate { key_index: Some(false), ..Migrate::default() };
        let begun = machine.kill();
        let migration = Log::migrate(shared(&begun), Path::new(DIR), &off, &Care::default()).unwrap();
        let crashed = begun.crash(1);
        drop(migration);
        assert!(open_with(&crashed, &options(false)).is_ok(), "settings are durable at once");
        migrate(&machine, &off).unwrap();
        assert_eq!(open(&machine).unwrap_err().code(), ErrorCode::InvalidArgument);
        assert!(files(&machine).iter().all(|path| path.extension().is_none_or(|it| it != "key")), "tables are removed");
        compare(&open_with(&machine, &options(false)).unwrap(), &known, &mut rng);
        migrate(&machine, &Migrate { key_index: Some(true), time_index: Some(true), ..Migrate::default() }).unwrap();
        assert!(files(&machine).iter().any(|path| path.extension().is_some_and(|it| it == "key")), "a table is built");
        compare(&open(&machine).unwrap(), &known, &mut rng);
    }
}

#[test]
fn single_messages_are_put_into_groups_by_a_compression() {
    let machine = SimMachine::new(1);
    let log = open(&machine).unwrap();
    let value = vec![5; 100];
    let known: Vec<_> = (0..1000u64)
        .map(|offset| Known {
            offset,
            time: 7,
            key: Some(vec![u8::try_from(offset % 5).unwrap()]),
            value: Some(value.clone()),
            headers: Vec::new(),
        })
        .collect();
    for one in &known {
        log.append(&one.input()).unwrap();
    }
    log.close().unwrap();
    drop(log);
    let compression = Some(Compression { codec: Codec::Zstd, level: None });
    migrate(&machine, &Migrate { compression, ..Migrate::default() }).unwrap();
    let log = open(&machine).unwrap();
    let stats = log.stats().entries;
    assert!(stats.entries < 20 && stats.bytes < 10_000, "{stats:?}");
    compare(&log, &known, &mut Rng::new(1));
}

#[test]
fn a_crash_at_any_step_of_a_migration_loses_nothing_and_another_ends_it() {
    let mut rng = Rng::new(seed());
    let (machine, known) = log(&mut rng);
    let compression = Some(Compression { codec: Codec::Lz4, level: None });
    let to = Migrate { key_index: Some(false), compression, ..Migrate::default() };
    let as_it_is = |machine: &SimMachine| {
        let read = |index| open_with(machine, &LogOptions { key_index: Some(index), ..options(index) });
        read(true).or_else(|_| read(false))
    };
    at_every_step(
        &machine,
        |machine| migrate(machine, &to),
        |after, done, what| {
            let log = as_it_is(&after.kill()).unwrap_or_else(|error| panic!("{what}: {error}"));
            compare(&log, &known, &mut Rng::new(1));
            if done {
                assert!(open_with(after, &options(false)).is_ok(), "{what}");
            } else {
                migrate(after, &to).unwrap_or_else(|error| panic!("{what}: {error}"));
                compare(&open_with(after, &options(false)).unwrap(), &known, &mut Rng::new(1));
            }
        },
    );
}
