//! Any bytes as a sidecar, as slots of the durable bound, as a segment's header; as they are, and with the right checksums.

use varve_format::{DurableSlot, SegmentHeader, Sidecar, SidecarHeader, checksum, read_header_block};

use crate::base::{bases, options};
use crate::forge::{header, seal};
use crate::input::Input;
use crate::look::{Reading, open, read};
use crate::memory::bounded;

/// The first byte chooses the log whose first sidecar and slots the others become.
pub fn sidecar(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let shape = input.byte();
    let rest = input.take(usize::MAX);
    bounded(64 * bytes.len() + (1 << 20), "decoding", || decode(rest));
    beside_a_log(shape, rest);
}

fn decode(bytes: &[u8]) {
    let segment = SegmentHeader::decode(&[7; SegmentHeader::LEN]).sealed();
    for sealed in [false, true] {
        let mut copy = bytes.to_vec();
        if sealed && copy.len() >= DurableSlot::LEN {
            seal(&mut copy[..DurableSlot::LEN]);
        }
        if let Some(slot) = DurableSlot::read(&copy) {
            assert_eq!(DurableSlot::read(&slot.sealed().encode()), Some(slot.sealed()));
        }
        if let Some(sidecar) = Sidecar::decode(&copy, &segment) {
            let again = Sidecar::encode(&sidecar.positions, sidecar.data_end, &segment);
            assert_eq!(Sidecar::decode(&again, &segment), Some(sidecar));
        }
        if let Ok(block) = read_header_block(&copy) {
            assert_eq!(read_header_block(&block.header.block()).map(|again| again.header), Ok(block.header));
        }
    }
}

/// A log whose first sidecar says whatever it says, with the right header: no record comes back that is not at its index.
fn beside_a_log(shape: u8, bytes: &[u8]) {
    let base = &bases()[usize::from(shape & 1)];
    let mut files = base.files.clone();
    let Some((name, first)) = files.iter().find_map(|(name, bytes)| Some((name.clone(), header(bytes)?))) else {
        return;
    };
    let sidecar = name.replace(".seg", ".idx");
    let intact = files.get(&sidecar).and_then(|bytes| Sidecar::decode(bytes, &first));
    let Some(Sidecar { mut positions, data_end }) = intact else { return };
    let made = if shape & 2 == 0 {
        // The numbers of the input in place of the positions: everything fits but them.
        let given = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])));
        positions.iter_mut().zip(given).for_each(|(position, given)| *position = given);
        Sidecar::encode(&positions, data_end, &first)
    } else {
        let mut made = bytes.to_vec();
        if shape & 4 == 0 && made.len() >= SidecarHeader::LEN {
            let sum = checksum(&made[SidecarHeader::LEN..]).to_le_bytes();
            made[48..52].copy_from_slice(&sum);
            seal(&mut made[..SidecarHeader::LEN]);
        }
        made
    };
    files.insert(sidecar, made);
    bounded(32 << 20, "reading beside a sidecar", || {
        let machine = crate::base::machine(&files);
        if let Ok(wal) = open(&machine, &options()) {
            let read = read(&wal, &base.written);
            assert!(matches!(read, Reading::All(_) | Reading::Failed(_)));
            machine.crash_after(0);
        }
        machine.drop_jobs();
    });
}
