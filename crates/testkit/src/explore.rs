//! The crash explorer: random operations, a crash at any step and at any change within a step, and every image held against the model.
//! Goes on from the images, and crashes again: recoveries crash too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_wal::{Care, StatReport, Wal, WalOptions, check, stat};

use crate::beside::follow;
use crate::failure::Failure;
use crate::life::{Life, Step};
use crate::model::{Bounds, Model};
use crate::open::{DIR, open};
use crate::rng::Rng;
use crate::script::{Op, Range, retention, script};
use crate::verify::{verify, verify_at};

/// Lives that follow on one another's images.
const DEPTH: usize = 3;

/// Crashes within the operations of one life, by depth.
const CRASHES: [usize; DEPTH] = [5, 2, 2];

/// Images after each operation of a life, and at each crash within one.
const AFTER_OP: usize = 2;
const AFTER_CRASH: usize = 4;

/// All that follows from one seed: the number of images looked at, or the first promise that was broken. `setup` puts mutants in place.
pub fn explore(seed: u64, setup: &dyn Fn(&SimMachine)) -> Result<u64, Failure> {
    let range = if seed.is_multiple_of(2) { Range::All } else { Range::Growing };
    let mut explorer = Explorer { images: 0, range, trail: Vec::new() };
    let explored = catch_unwind(AssertUnwindSafe(|| explorer.begin(seed, setup)));
    let panicked = |panic: Box<dyn std::any::Any + Send>| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(Failure::new(format!("a panic: {}", text.unwrap_or_default())))
    };
    match explored.unwrap_or_else(panicked) {
        Ok(()) => Ok(explorer.images),
        Err(failure) => Err(Failure { seed, trail: explorer.trail, ..failure }),
    }
}

struct Explorer {
    images: u64,
    range: Range,
    /// What led to where we are.
    trail: Vec<String>,
}

/// What is looked at: a machine whose log nobody has open.
struct Image {
    machine: SimMachine,
    /// The log is in one of these states.
    bounds: Bounds,
}

impl Explorer {
    fn begin(&mut self, seed: u64, setup: &dyn Fn(&SimMachine)) -> Result<(), Failure> {
        let mut rng = Rng::new(seed);
        let segment_size = match rng.below(10) {
            0..6 => 64 << 10,
            6..8 => (64 << 10) + rng.below(40 << 10),
            _ => (512 << 10) + rng.below(600 << 10),
        };
        let first_index = if rng.chance(50) { 0 } else { rng.below(1 << 40) };
        let options = WalOptions {
            segment_size: Some(segment_size),
            first_index: Some(first_index),
            codec: "bytes".into(),
            verify: Some(rng.chance(30)),
            retention: (self.range == Range::All && rng.chance(40)).then(|| retention(&mut rng)),
            ..WalOptions::default()
        };
        self.trail.push(format!(
            "segments of {segment_size} bytes, first index {first_index}, retention {:?}",
            options.retention
        ));
        let machine = SimMachine::new(rng.bits());
        setup(&machine);
        let model = Model::new(first_index);
        let image = Image { machine, bounds: model.exactly_now() };
        self.node(&image, &model, &options, &mut rng, 0)
    }

    /// A life on `image`, with images after each operation; then the same again and again, with a crash somewhere within it.
    fn node(
        &mut self,
        image: &Image,
        model: &Model,
        options: &WalOptions,
        rng: &mut Rng,
        depth: usize,
    ) -> Result<(), Failure> {
        let max_record = options.segment_size.unwrap_or_default() - varve_segment::RECORD_OVERHEAD;
        let ops = script(rng, max_record, self.range);
        let payloads = rng.fork();
        let mark = self.trail.len();
        let run =
            |crash_at| Life::new(image.machine.kill(), model.clone(), options.clone(), payloads.clone(), crash_at);
        let mut life = run(None);
        let looked = self.whole(&mut life, image, &ops, options, rng);
        self.trail.append(&mut life.trail);
        looked?;
        let changes = life.changes();
        drop(life);
        self.trail.truncate(mark);
        for _ in 0..CRASHES[depth] {
            let at = rng.below(changes + 1);
            let mut life = run(Some(at));
            let ended = Self::until_crash(&mut life, image, &ops);
            self.trail.append(&mut life.trail);
            self.trail.push(format!("crash after {at} changes of {changes}"));
            ended?;
            let mut last = None;
            for i in 0..AFTER_CRASH {
                // A process may be killed within a call, too.
                let image = if i == 0 && rng.chance(50) {
                    Image { machine: life.machine.kill(), bounds: life.model.without_process() }
                } else {
                    Image { machine: life.machine.crash(rng.bits()), bounds: life.model.without_power() }
                };
                self.look(&image, &life.model, options, rng)?;
                last = Some(image);
            }
            let mut model = life.model.clone();
            model.lost_power();
            drop(life);
            if let Some(image) = last.filter(|_| depth + 1 < DEPTH) {
                self.node(&image, &model, options, rng, depth + 1)?;
            }
            self.trail.truncate(mark);
        }
        Ok(())
    }

    fn whole(
        &mut self,
        life: &mut Life,
        image: &Image,
        ops: &[Op],
        options: &WalOptions,
        rng: &mut Rng,
    ) -> Result<(), Failure> {
        life.open(&image.bounds)?;
        for op in ops {
            let step = life.apply(op)?;
            for _ in 0..AFTER_OP {
                let (machine, bounds) = if rng.chance(25) {
                    (life.machine.kill(), life.survives(step == Step::Done)?)
                } else {
                    (life.machine.crash(rng.bits()), life.model.without_power())
                };
                self.trail.append(&mut life.trail);
                self.look(&Image { machine, bounds }, &life.model, options, rng)?;
            }
            if step != Step::Done {
                break;
            }
        }
        life.honest()
    }

    fn until_crash(life: &mut Life, image: &Image, ops: &[Op]) -> Result<(), Failure> {
        let mut step = life.open(&image.bounds)?;
        for op in ops {
            if step != Step::Done {
                break;
            }
            step = life.apply(op)?;
        }
        life.honest()
    }

    /// Opens a copy of the image, and whatever is left of that when it crashes too.
    fn look(&mut self, image: &Image, model: &Model, options: &WalOptions, rng: &mut Rng) -> Result<(), Failure> {
        let mark = self.trail.len();
        self.trail.push(format!("an image that must be in one of the states {:?}", image.bounds));
        let (mut machine, mut bounds) = (image.machine.kill(), image.bounds);
        for _ in 0..rng.below(4).saturating_sub(1) {
            let changes = rng.below(24);
            machine.crash_after(changes);
            let opened = open(&machine, options);
            if !machine.crashed() {
                opened?;
                machine = image.machine.kill();
                break;
            }
            self.images += 1;
            let lost_power = rng.chance(70);
            machine = if lost_power { machine.crash(rng.bits()) } else { machine.kill() };
            self.trail.push(format!("its recovery ends after {changes} changes, power lost: {lost_power}"));
            if lost_power {
                bounds = model.without_power();
            }
        }
        let found = self.reopen(&machine, &bounds, model, options, rng);
        found?;
        self.trail.truncate(mark);
        Ok(())
    }

    fn reopen(
        &mut self,
        machine: &SimMachine,
        bounds: &Bounds,
        model: &Model,
        options: &WalOptions,
        rng: &mut Rng,
    ) -> Result<(), Failure> {
        self.images += 1;
        let looked = if rng.chance(40) { looked_at(machine, options)? } else { None };
        let options = WalOptions { verify: Some(rng.chance(50)), skip_damage: Some(rng.chance(20)), ..options.clone() };
        let mut life = Life::new(machine.kill(), model.clone(), options.clone(), rng.fork(), None);
        let opened = life.open(bounds);
        self.trail.append(&mut life.trail);
        opened?;
        if let Some((outline, follower)) = looked {
            let now = life.model.now();
            let (told, has) = (
                (outline.first_index, outline.next_index, outline.committed),
                (now.first(), now.next(), now.committed()),
            );
            if told != has {
                return Err(Failure::new(format!("stat tells of {told:?}, the log is {has:?}")));
            }
            agrees(&follower, &life.model, "a follower of what the crash left")?;
        }
        if let Some(wal) = life.wal.as_ref().filter(|_| rng.chance(20)) {
            verify(wal, &life.model, true)?;
            agrees(&follow(&life.machine, &options)?, &life.model, "a follower of the log that was opened")?;
        }
        self.stands(&mut life, &options, rng)?;
        life.honest()
    }

    /// What a log that was opened again has returned stands, whatever comes: another open, a crash at once, a crash after more was appended.
    fn stands(&mut self, life: &mut Life, options: &WalOptions, rng: &mut Rng) -> Result<(), Failure> {
        match rng.below(4) {
            0 => {
                self.trail.push("opened once more".into());
                life.apply(&Op::Kill)?;
            }
            1 => {
                self.trail.push("closed".into());
                life.apply(&Op::Close)?;
            }
            2 => {}
            _ => {
                for op in script(rng, 4000, self.range).iter().take(3) {
                    if life.apply(op)? != Step::Done {
                        break;
                    }
                }
            }
        }
        self.trail.append(&mut life.trail);
        let bounds = life.model.without_power();
        self.trail.push(format!("a crash that must leave one of the states {bounds:?}"));
        self.images += 1;
        life.model.lost_power();
        let mut after =
            Life::new(life.machine.crash(rng.bits()), life.model.clone(), options.clone(), rng.fork(), None);
        let opened = after.open(&bounds);
        self.trail.append(&mut after.trail);
        opened?;
        after.honest()
    }
}

/// An error unless a follower shows the newest state of the model.
fn agrees(follower: &Arc<Wal>, model: &Model, who: &str) -> Result<(), Failure> {
    let told = |failure: Failure| Failure::new(format!("{who}: {}", failure.what));
    verify_at(follower, model.now(), true).map_err(told)?;
    if follower.committed() != model.now().committed() {
        let (committed, expected) = (follower.committed(), model.now().committed());
        return Err(Failure::new(format!("{who}: {committed} is committed, not {expected}")));
    }
    Ok(())
}

/// What `stat` says, and a follower; `None` where there is no log yet. `check` must find nothing wrong; and nobody may change anything.
fn looked_at(machine: &SimMachine, options: &WalOptions) -> Result<Option<(StatReport, Arc<Wal>)>, Failure> {
    let dir = Path::new(DIR);
    if machine.list(dir).is_err() {
        return Ok(None);
    }
    let changes = machine.changes();
    let report = check(Arc::new(machine.clone()), dir, &Care::default())?;
    let outline = stat(Arc::new(machine.clone()), dir)?;
    if !report.ok {
        return Err(Failure::new(format!("check finds damage where there was only a crash: {:?}", report.damage)));
    }
    if outline.entries != report.entries {
        return Err(Failure::new(format!("stat counts {} records, check {}", outline.entries, report.entries)));
    }
    if outline.codec.is_none() {
        return Ok(None);
    }
    let follower = follow(machine, options)?;
    if machine.changes() != changes {
        return Err(Failure::new("check, stat or a follower changed something"));
    }
    Ok(Some((outline, follower)))
}
