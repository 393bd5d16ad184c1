//! Small valid logs with everything in them, whose directories are then changed. Each is made once, by a history from a seed.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use varve_io::sim::SimMachine;
use varve_log::{Care, Codec, Compression, Conditions, Log, LogOptions, Producer, Result, Rule};

use super::Written;
use super::read::walk;
use crate::base::{DIR, Files, files};
use crate::input::Input;
use crate::known::Known;

/// A directory, and what was written into it.
pub struct Base {
    pub files: Files,
    pub written: Written,
}

/// Steps of a history.
const STEPS: usize = 40;

/// Begin of the times.
const TIME: i64 = 1_700_000_000_000_000;

/// How all logs here are opened. What is not said is as the log has it.
pub fn options() -> LogOptions {
    LogOptions { segment_size: Some(64 << 10), codec: "bytes,bytes".into(), ..LogOptions::default() }
}

pub fn open(machine: &SimMachine, options: &LogOptions) -> Result<Arc<Log>> {
    Log::open(Arc::new(machine.clone()), Path::new(DIR), options)
}

pub fn compression(input: &mut Input<'_>) -> Compression {
    Compression { codec: Codec::ALL[input.pick(Codec::ALL.len())], level: None }
}

/// SplitMix64.
fn random(seed: u64) -> Vec<u8> {
    let mix = |step: u64| {
        let mut mixed = (seed << 32 | step).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    };
    (1..20_000).flat_map(mix).collect()
}

/// A log being written, and what was.
struct Writing {
    machine: SimMachine,
    log: Arc<Log>,
    written: Written,
    options: LogOptions,
    sequences: [u64; 3],
}

impl Writing {
    fn take(&self, input: &mut Input<'_>, from: u64, count: u64) -> Vec<Known> {
        // Times that go back, too.
        let time = |offset: u64| TIME + i64::try_from(offset * 1000).unwrap_or(0);
        (from..from + count)
            .map(|offset| {
                let back = i64::from(input.short());
                let mut known = Known::take(input, offset, time(offset) - back);
                known.time = known.time.clamp(TIME - (1 << 40), TIME + (1 << 40));
                // Few keys, so that each has several messages.
                known.key.iter_mut().for_each(|key| key.iter_mut().for_each(|byte| *byte %= 3));
                known.key.iter_mut().for_each(|key| key.truncate(2));
                known
            })
            .collect()
    }

    fn batch(&mut self, input: &mut Input<'_>) -> Result<()> {
        let next = self.log.next_offset();
        let count = if input.pick(4) == 0 { 150 } else { 1 + input.pick(20) as u64 };
        let known = self.take(input, next, count);
        let id = input.pick(6);
        let producer = self.sequences.get_mut(id).map(|sequence| {
            *sequence += 1;
            Producer { id: id as u64, epoch: 0, sequence: *sequence }
        });
        let leader_epoch = (input.pick(4) == 0).then_some(3);
        let conditions =
            Conditions { producer, leader_epoch, compression: compression(input), ..Conditions::default() };
        let inputs: Vec<_> = known.iter().map(Known::given).collect();
        assert_eq!(self.log.append_batch(&inputs, &conditions)?, next);
        known.into_iter().for_each(|known| self.written.add(known));
        Ok(())
    }

    fn singles(&mut self, input: &mut Input<'_>) -> Result<()> {
        let (next, count) = (self.log.next_offset(), 1 + input.pick(30) as u64);
        for known in self.take(input, next, count) {
            assert_eq!(self.log.append(&known.given())?, known.offset);
            self.written.add(known);
        }
        Ok(())
    }

    fn remove(&mut self, input: &mut Input<'_>) -> Result<()> {
        let (start, next) = (self.log.start_offset(), self.log.next_offset());
        let share = 1 + input.pick(90);
        let mut removal = match input.pick(3) {
            0 => self.log.delete((start..next).filter(|_| input.pick(100) < share).collect())?,
            1 => self.log.compact(i64::MAX)?,
            _ => self.log.trim(&Rule::BeforeOffset(start + (next - start) / 4))?,
        };
        while removal.step(&Care::default())? {}
        // What lies before the start may still be in its segment; where nothing tells of the start any more, it is there again.
        let start = self.log.start_offset();
        let held: Vec<u64> = walk(&self.log, start)?.iter().map(|known| known.offset).collect();
        self.written.retain(|offset| offset < start || held.binary_search(&offset).is_ok());
        Ok(())
    }

    fn step(&mut self, input: &mut Input<'_>) -> Result<()> {
        let next = self.log.next_offset();
        match input.pick(17) {
            0..=3 => self.singles(input),
            4..=8 => self.batch(input),
            9 => {
                self.log.cursor("consumer", 0, Some(false))?;
                self.log.save_cursor("consumer", next / 2)
            }
            10 => self.log.advance_high_water_mark(next / 3 * 2),
            11 => self.remove(input),
            12 | 13 => Ok(self.log.wal().rotate()?),
            14 => self.log.sync().map(drop),
            15 => {
                self.log.close()?;
                self.log = open(&self.machine, &self.options)?;
                Ok(())
            }
            _ => {
                self.log.flush()?;
                self.machine.drop_jobs();
                self.machine = self.machine.kill();
                self.log = open(&self.machine, &self.options)?;
                Ok(())
            }
        }
    }

    /// The directory of the log closed; or as a killed process leaves it, or a power loss.
    fn end(&self, how: usize) -> Result<Base> {
        while how != 2 && self.machine.run_job() {}
        let left = match how {
            0 => {
                self.log.close()?;
                self.machine.clone()
            }
            1 => {
                self.log.flush()?;
                self.machine.kill()
            }
            _ => {
                self.log.flush()?;
                self.machine.crash(5)
            }
        };
        let base = Base { files: files(&left), written: self.written.clone() };
        self.machine.drop_jobs();
        Ok(base)
    }
}

fn history(seed: u64, how: usize, key_index: bool) -> Result<Base> {
    let machine = SimMachine::new(seed);
    let options = LogOptions { key_index: Some(key_index), time_index: Some(true), ..options() };
    let log = open(&machine, &options)?;
    let mut writing = Writing { machine, log, written: Written::default(), options, sequences: [0; 3] };
    let bytes = random(seed);
    let mut input = Input::new(&bytes);
    for _ in 0..STEPS {
        writing.step(&mut input)?;
        while input.pick(3) == 0 && writing.machine.run_job() {}
    }
    writing.end(how)
}

/// All bases: whole, killed and crashed, and one whose keys are not indexed.
pub fn bases() -> &'static [Base] {
    static BASES: OnceLock<Vec<Base>> = OnceLock::new();
    BASES.get_or_init(|| {
        let made = [(1, 0, true), (2, 0, true), (3, 1, true), (4, 2, true), (5, 2, true), (6, 0, false)];
        made.map(|(seed, how, keys)| history(seed, how, keys).expect("a sound disk fails nothing")).into()
    })
}
