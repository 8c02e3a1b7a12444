//! Owns `demo`: the whole chain on one machine, with nothing outside it.
//!
//! A fresh database in a temporary folder, the sample register, a simulated gateway and mail sink spoken to over real HTTP
//! and SMTP. Invariant: what it shows was counted in the database or the simulators' journals, never assumed.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Outcome, actor, say};
use crate::actions::alert::NewAlert;
use crate::actions::import::{self, RegisterFile};
use crate::actions::letter::{NewLetter, Sending};
use crate::actions::letter_review::Pass;
use crate::actions::operator::NewOperator;
use crate::actions::{Desk, alert, alert_view, key, letter, letter_view, operator};
use crate::ambient::{self, Clock};
use crate::app::{self, Daemon};
use crate::config;
use crate::domain::delivery::DeliveryState;
use crate::domain::letter::{LetterFields, SignatureFields};
use crate::domain::message::Counts;
use crate::domain::operator::Actor;
use crate::register_file::survey::{Overrides, Survey};
use crate::simulator::{
    GatewayBehaviour, GatewayOptions, InboundMessage, MailSink, MailSinkOptions, ReceiptPlan, SimulatedGateway,
};

/// The sample register: 1,100 invented contact persons.
const REGISTER: &[u8] = include_bytes!("../../data/register-sample.csv");
const ALERT: &str = "Röd skåpbil söks efter inbrott i fritidshus mellan Järpen och Krokom i natt. Gå inte nära.";
const LETTER: &str = "## Det här har hänt\n\nI november har vi fått in **flera tips** om okända bilar vid fritidshus. \
Era iakttagelser har hjälpt oss.\n\n- Skriv upp tid och plats.\n- Ring 112 om brott pågår.\n- Ring 114 14 annars.\n\n\
Tack för att ni håller ögonen öppna.";
const REPLIES: [&str; 3] =
    ["Såg en röd skåpbil i Järpen kl 02.10", "Inget sett här", "Bilen körde mot Krokom, två personer"];
/// Receipts are awaited this long after the last hand-over.
const LAST_RECEIPTS: Duration = Duration::from_secs(8);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Avsluta efter sammanfattningen i stället för att låta sidorna ligga uppe.
    #[arg(long)]
    exit: bool,
    /// Adress för sidor och API.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADRESS")]
    listen: SocketAddr,
}

/// Everything the demo runs on; gone when it ends.
struct Stage {
    gateway: SimulatedGateway,
    mail: MailSink,
    desk: Desk,
    daemon: Daemon,
    cli: Actor,
    _folder: TempDir,
}

pub(super) async fn run(args: &Args) -> Outcome {
    let begun = Instant::now();
    let stage = build(args).await?;
    say("grannpost visar hela kedjan på den här datorn. Inget skickas utanför den, och alla personer är påhittade.\n");
    load_register(&stage).await?;
    let alerted = show_alert(&stage).await?;
    let mailed = show_letter(&stage).await?;
    summarise(&stage, (&alerted, &mailed), begun.elapsed()).await?;
    if !args.exit {
        show_ways_in(&stage).await?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    stage.daemon.stop().await;
    stage.gateway.shut_down().await;
    stage.mail.shut_down().await;
    Ok(())
}

async fn build(args: &Args) -> Result<Stage, Failure> {
    let folder = TempDir::with_prefix("grannpost-demo-")?;
    let clock = Clock::System;
    let wall = Arc::new(|| Clock::System.now());
    let listen = free(args.listen)?;
    let secret = data_encoding::HEXLOWER.encode(&ambient::random_bytes::<20>());
    let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
    let behaviour = GatewayBehaviour {
        latency_ms: 15,
        receipts: ReceiptPlan { delivered: 0.97, failed: 0.02, ..ReceiptPlan::default() },
        sms_url: Some(format!("http://{listen}/hooks/sms/demo/{secret}/inbound")),
        ..GatewayBehaviour::default()
    };
    let options = GatewayOptions { behaviour, ..GatewayOptions::new(wall.clone()) };
    let gateway = SimulatedGateway::start(loopback, options).await?;
    let mail = MailSink::start(loopback, MailSinkOptions::new(wall)).await?;
    let text = settings(folder.path(), listen, &secret, (&gateway.base_url(), &mail.url()));
    let config = Arc::new(config::from_toml(&[&text])?);
    crate::telemetry::init_logs(&config.log);
    let desk = app::open(config, clock, true).await?;
    let mut daemon = Daemon::start(&desk).await?;
    daemon.listen().await?;
    let cli = actor(&desk).await?;
    Ok(Stage { gateway, mail, desk, daemon, cli, _folder: folder })
}

/// The address itself, or a free port beside it when it is taken.
fn free(wanted: SocketAddr) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind(wanted)
        .or_else(|_| TcpListener::bind((wanted.ip(), 0)))
        .with_context(|| format!("listen: {wanted} går inte att använda"))?;
    Ok(listener.local_addr()?)
}

fn settings(folder: &Path, listen: SocketAddr, secret: &str, (gateway, mail): (&str, &str)) -> String {
    format!(
        r#"
server.listen = "{listen}"
server.public_url = "http://{listen}"
database.url = "sqlite:{folder}/demo.db"
audit.anchor_file = "{folder}/anchor.jsonl"
log.filter = "error"
sms.route = ["demo"]
sms.inbound_reply_to = "+46766860000"
mail.url = "{mail}"
mail.rate_per_second = 120
mail.per_domain_per_second = 120
mail.concurrency = 8
replies.duty_number = "+46701744000"
[sms.gateways.demo]
kind = "46elks"
base_url = "{gateway}"
username = "simulator"
password = "simulator"
sender = "+46766860000"
callback_secret = "{secret}"
simulator = true
rate_per_second = 40
"#,
        folder = folder.display()
    )
}

async fn load_register(stage: &Stage) -> Outcome {
    let survey = Survey::of(REGISTER, &Overrides::default())
        .map_err(|error| anyhow::anyhow!("exempelregistret: {}", error.detail()))?;
    let bar = bar(survey.rows, "rader lästa");
    let progress = |done: u64| bar.set_position(done);
    let file = RegisterFile { bytes: REGISTER, survey: &survey };
    let mut session = stage.desk.store.begin().await?;
    let view = import::store(&stage.desk, &mut session, &stage.cli, file, &progress).await?;
    session.commit().await?;
    bar.finish_and_clear();
    say(&format!("1. Registret: {} kontaktombud importerade från exempelregistret.", view.rows));
    Ok(())
}

async fn show_alert(stage: &Stage) -> Result<alert_view::AlertView, Failure> {
    let new = NewAlert {
        text: ALERT.to_owned(),
        areas: vec!["2321".to_owned(), "2309".to_owned()],
        decided_by: "Vakthavande befäl".to_owned(),
        kind: Some("observation".to_owned()),
        spread: Some("households".to_owned()),
        undo_seconds: Some(0),
        ..NewAlert::default()
    };
    let mut session = stage.desk.store.begin().await?;
    let made = alert::create(&stage.desk, &mut session, &stage.cli, &new).await?;
    session.commit().await?;
    stage.desk.wakeup.ring();
    say(&format!(
        "2. Larmet till Åre och Krokom: {} kontaktombud får sms, {} hushåll bakom dem, {} nås inte.\n   {}",
        made.audience.by_sms, made.audience.households_by_sms, made.audience.not_reached, made.message.body
    ));
    let bar = bar(u64::try_from(made.counts.total()).unwrap_or(0), "sms överlämnade");
    let mut replied = 0;
    let mut handed_over: Option<Instant> = None;
    loop {
        let mut session = stage.desk.store.read().await?;
        let view = alert_view::get(&stage.desk, &mut session, &stage.cli, &made.message.id).await?;
        drop(session);
        show_progress(&bar, &view.counts, 0);
        replied = reply(stage, replied).await;
        if view.counts.waiting() == 0 {
            let since = handed_over.get_or_insert_with(Instant::now);
            if view.counts.open() == 0 || since.elapsed() > LAST_RECEIPTS {
                bar.finish_and_clear();
                return Ok(view);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Lets a few of those who got the alert answer it, as the gateway would bring their answers.
async fn reply(stage: &Stage, replied: usize) -> usize {
    let sent = stage.gateway.journal().messages();
    let Some((text, sms)) = REPLIES.get(replied).zip(sent.get(replied * 40 + 20)) else { return replied };
    let message = InboundMessage {
        id: format!("demo-reply-{replied}"),
        from: sms.to.clone(),
        to: sms.from.clone(),
        text: (*text).to_owned(),
    };
    stage.gateway.post_inbound(message).await;
    replied + 1
}

async fn show_letter(stage: &Stage) -> Result<letter_view::LetterView, Failure> {
    let fields = LetterFields {
        subject: "Brev till kontaktombuden i november".to_owned(),
        body_markdown: LETTER.to_owned(),
        registry_number: Some("A100.001/2026".to_owned()),
        subject_code: Some("742".to_owned()),
        signature: Some(SignatureFields { name: "Kim Exempel".to_owned(), title: "Områdeschef".to_owned() }),
        ..LetterFields::default()
    };
    let new = NewLetter { fields, areas: vec!["jamtland".to_owned()], send_at: None };
    let mut session = stage.desk.store.begin().await?;
    let draft = letter::create(&stage.desk, &mut session, &stage.cli, &new).await?;
    let sending = Sending { undo_seconds: Some(0), ..Sending::default() };
    let sent = letter::send(&stage.desk, &mut session, &stage.cli, (&draft.message.id, sending), &Pass::Own).await?;
    session.commit().await?;
    stage.desk.wakeup.ring();
    let (by_email, on_paper) = (sent.audience.by_email, sent.audience.on_paper);
    say(&format!("3. Brevet till hela Jämtland: {by_email} med e-post, {on_paper} att skriva ut på papper."));
    let bar = bar(u64::try_from(by_email).unwrap_or(0), "brev överlämnade");
    loop {
        let mut session = stage.desk.store.read().await?;
        let view = letter_view::get(&stage.desk, &mut session, &stage.cli, &sent.message.id).await?;
        drop(session);
        show_progress(&bar, &view.counts, on_paper);
        if view.counts.waiting() <= on_paper {
            bar.finish_and_clear();
            return Ok(view);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn bar(length: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("   {bar:30} {pos}/{len} {prefix}  {msg}");
    bar.set_style(style.expect("the template is valid"));
    bar.set_prefix(what.to_owned());
    bar
}

fn show_progress(bar: &ProgressBar, counts: &Counts, paper: i64) {
    let done = counts.total() - counts.waiting();
    bar.set_position(u64::try_from(done.min(counts.total() - paper)).unwrap_or(0));
    bar.set_message(format!("{} levererade", counts.get(DeliveryState::Delivered)));
}

async fn summarise(
    stage: &Stage,
    (alerted, mailed): (&alert_view::AlertView, &letter_view::LetterView),
    took: Duration,
) -> Outcome {
    let sms = &alerted.counts;
    let answers = stage.gateway.callbacks().len();
    let handed_over = stage.gateway.journal().messages();
    let of_alert = handed_over.iter().filter(|sms| sms.text == alerted.message.body).count();
    say(&format!(
        "\nSammanfattning efter {:.0} s\n\
         \u{20} Larm   {:>5} sms överlämnade, {} levererade till telefonen, {} inte levererade, {} utan besked ännu\n\
         \u{20}        {} kontaktombud nådda, som uppger {} hushåll\n\
         \u{20} Brev   {:>5} brev lämnade till e-postservern, {} på papper väntar på utskrift\n\
         \u{20} In     {:>5} anrop från gatewayen: besked om leverans, och {} svar från kontaktombud, {} besvarade av sig själva\n\
         \u{20} Koll   {}",
        took.as_secs_f64(),
        of_alert,
        sms.get(DeliveryState::Delivered),
        sms.get(DeliveryState::Undelivered) + sms.get(DeliveryState::Failed),
        sms.get(DeliveryState::Accepted) + sms.get(DeliveryState::InDoubt),
        alerted.message.reach_persons,
        alerted.message.reach_households,
        stage.mail.journal().len(),
        mailed.audience.on_paper,
        answers,
        REPLIES.len(),
        handed_over.len() - of_alert,
        verified(stage).await?
    ));
    Ok(())
}

async fn verified(stage: &Stage) -> Result<String, Failure> {
    let report = crate::upkeep::verify::run(&stage.desk.store, &stage.desk.config, &stage.desk.clock).await?;
    let broken: Vec<&String> = report.iter().flat_map(|check| &check.broken).collect();
    let twice = stage.gateway.journal().duplicates().len() + stage.mail.journal().duplicates().len();
    if broken.is_empty() && twice == 0 {
        return Ok("räkenskaperna stämmer, loggkedjan är hel, ingen fick något två gånger".to_owned());
    }
    Err(Failure::Failed(anyhow::anyhow!("räkenskaperna stämmer inte: {broken:?}, {twice} fick något två gånger")))
}

async fn show_ways_in(stage: &Stage) -> Outcome {
    let mut session = stage.desk.store.begin().await?;
    let new = NewOperator {
        name: "Demo".to_owned(),
        email: "demo@example.org".to_owned(),
        role: "admin".to_owned(),
        area: String::new(),
    };
    let invited = operator::add(&stage.desk, &mut session, &stage.cli, &new).await?;
    let link = operator::demo_link(&stage.desk, &mut session, &stage.cli, &invited.operator).await?;
    let key = key::add(&stage.desk, &mut session, &stage.cli, ("demo", "admin", "")).await?;
    session.commit().await?;
    let base = stage.desk.config.server.public_link("");
    say(&format!(
        "\nSidor och API ligger uppe på {base} tills du trycker Ctrl-C.\n\
         \u{20} Logga in:     {}\n\
         \u{20} API:          {base}/api/docs   (nyckel: {})\n\
         \u{20} Mätvärden:    {base}/metrics",
        link, key.secret
    ));
    Ok(())
}
