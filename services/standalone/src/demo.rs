//! The demo: a company lives through ninety days twice, with reminders and without, and everything is checked at the end.

use std::time::Duration;

use chrono::Days;
use revisit_bootstrap::{Shutdown, command::print, config::Layers};
use revisit_core::{Clock, Failure, Kind, ManualClock};

use crate::{Running, ScratchFolder, Setup, client::Person, mail_sink::MailSink, webhook_receiver::WebhookReceiver};

mod act;
mod attempts;
mod check;
mod company;
mod days;
mod expect;
mod figures;
mod files;
mod local;
mod people;
mod plans;
mod scenes;
mod setting;
mod stay;
mod story;

use company::{Company, Door};
use figures::Figures;
use people::MODEL;
use story::Story;

/// Days, counted from the first, on which something happens that is told.
const EYES_DAY: u64 = 2;
const SALE_DAY: u64 = 15;
const LEAVER_DAY: u64 = 45;
/// Problems that are printed; the others are counted.
const WRONG_SHOWN: usize = 30;

/// Runs the demo. `stay` keeps serving after it.
pub async fn run(layers: Layers, stay: bool) -> Result<(), Failure> {
    let clock = Clock::system();
    let began = clock.steady();
    let mut story = Story::aloud();
    story.chapter("Revisit lives through ninety days, twice: with reminders and, quietly beside, without")?;
    story.tell(format!("how people behave is a model and not a claim: {MODEL}"))?;
    let mut quiet = Story::silent();
    // What the configuration has listen beside the calls can listen once.
    let mut beside = layers.clone();
    beside.add("the demo", "[identity.authzen]\nlisten = \"\"\n")?;
    let (with, without) = tokio::try_join!(live(layers, true, &mut story), live(beside, false, &mut quiet))?;
    let seconds = clock.steady().since(began).as_secs_f64();
    story.chapter("Figures")?;
    print(&with.figures.table(&without.figures))?;
    story.tell(
        "The two rates are a simulation of the stated model, the same coins for both; not a claim about people.",
    )?;
    if stay {
        stay::keep(&with, &story).await?;
    }
    let wrong: Vec<_> = story.wrong.iter().chain(&quiet.wrong).collect();
    for what in wrong.iter().take(WRONG_SHOWN) {
        print(&format!("WRONG: {what}\n"))?;
    }
    print(&format!("\n{}\n", with.figures.last_line(&without.figures, seconds)))?;
    let figures = [&with.figures, &without.figures];
    with.world.running.stop().await?;
    without.world.running.stop().await?;
    let sums = figures.iter().map(|it| it.lost + it.doubled + it.orphans).sum::<i64>();
    if wrong.is_empty() && sums == 0 {
        return Ok(());
    }
    Err(Failure::new(Kind::Precondition, "DEMO_WRONG", format!("{} cross-checks failed", wrong.len())))
}

/// A Revisit of its own, with its clock and its two ends of the outside world.
struct World {
    running: Running,
    door: Door,
    sink: MailSink,
    receiver: WebhookReceiver,
    /// The folder goes with it.
    _folder: ScratchFolder,
}

/// A life that was lived.
struct Lived {
    world: World,
    company: Company,
    figures: Figures,
}

async fn begin(layers: Layers) -> Result<(World, Person, Person), Failure> {
    let sink = MailSink::start().await.map_err(Failure::internal)?;
    let receiver = WebhookReceiver::start().await.map_err(Failure::internal)?;
    let folder = ScratchFolder::make()?;
    let manual = ManualClock::at(local::at(days::first_day(), 7, 30));
    let setup = Setup::new(layers)?.founding("haitang", "海棠家居").throw_away(folder.path(), sink.address())?;
    let running = setup.start(Some(manual), Shutdown::new()).await?;
    let door = Door { channel: running.channel(), clock: running.clock() };
    let first = running.first_log_ins().ok_or_else(|| Failure::internal("the folder was not empty"))?.clone();
    let (channel, clock) = (door.channel.clone(), door.clock.clone());
    let who = company::credentials(&first.operators, &first.operator);
    let operator = Person::accept(channel.clone(), clock.clone(), first.operator_link, &who).await?;
    let who = company::credentials(&first.tenant, &first.administrator);
    let admin = Person::accept(channel, clock, first.administrator_link, &who).await?;
    Ok((World { running, door, sink, receiver, _folder: folder }, operator, admin))
}

async fn live(layers: Layers, reminders: bool, story: &mut Story) -> Result<Lived, Failure> {
    let watch = Clock::system();
    let began = watch.steady();
    let (world, operator, admin) = begin(layers).await?;
    let set = setting::set_up(&world, operator, admin, (reminders, story)).await?;
    let ready = watch.steady();
    let desks = act::Desks::new(&set.company, &set.cash_desk, MODEL, &set.imported.origin);
    let mut life = days::Life {
        running: &world.running,
        desks: &desks,
        working: days::working_days(&set.company.admin, &set.calendar_id).await?,
        reminders,
        gone: std::collections::BTreeSet::new(),
        steps: days::Steps::default(),
    };
    let mut figures = Figures::default();
    let day = |number| local::at(days::first_day() + Days::new(number), 12, 0);
    life.until(day(EYES_DAY)).await?;
    scenes::three_eyes(&world.running, &set.company, story).await?;
    life.until(day(SALE_DAY)).await?;
    scenes::sale(&world.running, &set.company, &set.cash_desk, story).await?;
    let tried = attempts::make(&set.company, &set.second, story).await?;
    (figures.attempts, figures.denied) = (tried.made, tried.denied);
    life.until(day(LEAVER_DAY)).await?;
    figures.handed_over = scenes::leaver(&world.running, &set.company, story).await?;
    figures.hand_overs = 1;
    life.gone.insert(scenes::LEAVER);
    life.until(local::at(days::end_day(), 0, 0)).await?;
    let steps = life.steps;
    // Work that is due to the very end is done before anything is counted.
    world.running.advance_to(world.running.now() + Duration::from_secs(60)).await?;
    let lived = watch.steady();
    finish(&world, &set, (&desks, steps), reminders, (&mut figures, story)).await?;
    story.tell(format!(
        "it took {:.1} s to set up, {:.1} s to live through the days, {:.1} s to check",
        ready.since(began).as_secs_f64(),
        lived.since(ready).as_secs_f64(),
        watch.steady().since(lived).as_secs_f64()
    ))?;
    Ok(Lived { company: set.company, figures, world })
}

async fn finish(
    world: &World,
    set: &setting::Setting,
    (desks, steps): (&act::Desks<'_>, days::Steps),
    reminders: bool,
    (figures, story): (&mut Figures, &mut Story),
) -> Result<(), Failure> {
    use std::sync::atomic::Ordering::Relaxed;
    let tally = &desks.tally;
    figures.managed = tally.managed.load(Relaxed);
    story.chapter("What people did")?;
    story.tell(format!("time went in {} steps to due instants and {} sittings at desks", steps.due, steps.sittings))?;
    story.tell(format!(
        "{} tasks completed, {} of them upon a reminder; {} escalations acted upon by managers; {} found too late",
        tally.completed.load(Relaxed),
        tally.upon_reminder.load(Relaxed),
        tally.managed.load(Relaxed),
        tally.too_late.load(Relaxed)
    ))?;
    story.tell(format!(
        "{} sales recorded by the cash desk, {} issues dispatched, {} sensitive results approved by a supervisor",
        tally.sales.load(Relaxed),
        tally.issues.load(Relaxed),
        tally.reviewed.load(Relaxed)
    ))?;
    let of = set.remains(world);
    check::import(&of, figures, story).await?;
    let sent = check::messages(&of, figures, story).await?;
    check::inboxes(&of, &sent, figures, story).await?;
    check::reminders(&of, &sent, (world.running.now(), reminders), (figures, story)).await?;
    check::orphans(&of, figures, story).await?;
    figures.audited = attempts::audited(&set.company).await?;
    story.must(figures.audited >= figures.denied, "denials that the audit log does not know");
    Ok(())
}
