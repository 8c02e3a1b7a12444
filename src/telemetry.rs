//! Owns logs and metrics: their format, their names and where they go.
//!
//! Invariant: no phone number, name, address or message text reaches a log line or a metric: ids and codes only
//! (`docs/logging.md`).

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::store::settle::Change;

/// Sends logs to stderr as configured; a second call in one process is ignored.
pub fn init_logs(config: &Log) {
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // A log that cannot be written, as on a full disk, must stop nothing: telling so on stderr would panic there.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    let is_json = match config.format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let _ = if is_json { builder.json().try_init() } else { builder.try_init() };
}

/// Installs the metrics recorder, once in a process, and gives what renders it as Prometheus text.
#[must_use]
pub fn init_metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install_metrics).clone()
}

fn install_metrics() -> PrometheusHandle {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Full("grannpost_handover_seconds".to_owned()),
            &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
        )
        .expect("the list of buckets is not empty");
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_ok() {
        describe();
    }
    handle
}

fn describe() {
    metrics::describe_counter!("grannpost_deliveries_total", "Deliveries that came into a state");
    metrics::describe_gauge!("grannpost_queue_depth", "Deliveries that are due and wait");
    metrics::describe_gauge!("grannpost_queue_oldest_seconds", "Age of the oldest delivery that is due and waits");
    metrics::describe_histogram!("grannpost_handover_seconds", "Time of one call to a provider");
    metrics::describe_gauge!("grannpost_gateway_up", "1 when the provider answers, else 0");
    metrics::describe_gauge!("grannpost_gateway_carries", "1 for the gateway that the last SMS went through, else 0");
    metrics::describe_gauge!(
        "grannpost_unmatched_receipts",
        "Receipts of an SMPP gateway about ids that nobody knows, after a minute"
    );
    metrics::describe_gauge!("grannpost_in_doubt", "Deliveries whose outcome is unknown");
    metrics::describe_gauge!("grannpost_leases_overdue", "Leases older than their time");
    metrics::describe_counter!("grannpost_observations_total", "Answers that came in, by channel and kind");
    metrics::describe_gauge!("grannpost_observations_unanswered", "Observations that no person has answered");
    metrics::describe_gauge!("grannpost_observations_overdue", "Of these, those past their date");
    metrics::describe_gauge!("grannpost_observations_urgent", "Urgent answers of the last day that nobody has taken");
    metrics::describe_counter!(
        "grannpost_mail_in_total",
        "Incoming mails read, by what they mean and whose fault a bounce is"
    );
    metrics::describe_gauge!("grannpost_mail_unread", "Incoming mails that are kept and not read yet");
    metrics::describe_gauge!("grannpost_mailbox_up", "1 when the mailbox can be read, else 0");
    metrics::describe_gauge!("grannpost_mail_tray", "Incoming mails that wait for a person to read them");
    metrics::describe_gauge!("grannpost_opt_outs_unjournalled", "Words about consent that wait for the journal's disk");
    metrics::describe_gauge!("grannpost_days_since_letter", "Days since the last letter to an area");
}

/// Counts deliveries that have just changed their state.
pub fn count_changes<'a>(changes: impl IntoIterator<Item = &'a Change>) {
    for change in changes {
        metrics::counter!("grannpost_deliveries_total", "channel" => change.channel.clone(), "state" => change.to.code())
            .increment(1);
    }
}
