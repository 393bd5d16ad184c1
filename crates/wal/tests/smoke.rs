//! The thinnest whole path on a real directory.
use std::sync::Arc;
use varve_io::{Machine, RealMachine};
use varve_wal::{FILL_RECORDS, Fill, TABLE_LEN, Wal, WalOptions};

#[test]
fn a_million_records_come_back() {
    let dir = std::env::temp_dir().join(format!("varve-smoke-{}", std::process::id()));
    let machine: Arc<dyn Machine> = Arc::new(RealMachine::new());
    let options = WalOptions { codec: "bytes".into(), ..WalOptions::default() };
    for round in 0..3u64 {
        let wal = Wal::open(Arc::clone(&machine), &dir, &options).unwrap();
        assert_eq!(wal.next_index(), round * 300_000);
        for i in 0..300_000u64 {
            let mut payload = [7u8; 138];
            payload[..8].copy_from_slice(&(round * 300_000 + i).to_le_bytes());
            wal.append(&payload, None).unwrap();
        }
        let mut reader = wal.reader(0, None).unwrap();
        let mut slab = vec![0; 65536];
        let mut table = [0u32; TABLE_LEN];
        let mut n = 0u64;
        while let Fill::Records(count) = reader.fill(&mut slab, &mut table).unwrap() {
            if count == 0 {
                break;
            }
            assert!(count <= FILL_RECORDS);
            for i in 0..count {
                let bytes = &slab[table[2 * i] as usize..table[2 * i + 1] as usize];
                assert_eq!(bytes.len(), 138);
                assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()), n);
                n += 1;
            }
        }
        assert_eq!(n, (round + 1) * 300_000);
        for i in (0..n).step_by(997) {
            assert_eq!(wal.get(i, |b| u64::from_le_bytes(b[..8].try_into().unwrap())).unwrap(), Some(i));
        }
        println!("{:?}", wal.stats());
        wal.close().unwrap();
    }
    println!("{:?}", varve_wal::check(Arc::clone(&machine), &dir, &varve_wal::Care::default()));
    std::fs::remove_dir_all(&dir).unwrap();
}
