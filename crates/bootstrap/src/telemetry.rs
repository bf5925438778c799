//! Logs, traces and metrics: to the terminal always, by OTLP only when an endpoint is set.
//!
//! One trace spans a call, the calls and events that it causes, and their consumers: W3C trace context travels in gRPC
//! metadata and in each event's `traceparent`.

use std::time::Duration;

use http::{Request, Response};
use opentelemetry::{
    Context, KeyValue, global,
    metrics::{Counter, Gauge, Histogram},
    propagation::{Extractor, Injector},
    trace::TracerProvider as _,
};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    logs::SdkLoggerProvider,
    metrics::SdkMeterProvider,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use revisit_core::{Failure, Kind};
use tokio::time::Instant;
use tonic::body::Body;
use tracing::{Instrument, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    front::{Inner, Step, pass},
    panics,
    settings::{Format, Telemetry},
};

/// What is exported. The exporter's own spans and lines would be exported again, and again.
const EXPORTED: &str =
    "info,opentelemetry=off,tonic=off,h2=off,hyper=off,hyper_util=off,tower=off,sqlx=off,sea_orm=off";

/// Holds the exporters; ask it to flush before the process ends.
#[derive(Default)]
pub struct Exporters {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
    flush_max: Duration,
}

/// Starts logging and, if an endpoint is set, exporting. Once per process, inside the async runtime.
pub fn start(process: &str, settings: &Telemetry) -> Result<Exporters, Failure> {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let filter = EnvFilter::try_new(&settings.log).map_err(|error| {
        let failure = Failure::invalid_field("telemetry.log", format!("must be filter directives: {error}"));
        Failure { reason: "CONFIG_INVALID", ..failure }
    })?;
    let exporters = exporters(process, settings)?;
    let lines = match settings.format {
        Format::Human => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).boxed(),
        Format::Json => tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).boxed(),
    };
    // Each has a filter of its own: a quiet log must not make holes in traces.
    let lines = lines.with_filter(filter);
    let spans = exporters.traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer().with_tracer(provider.tracer("revisit")).with_filter(EnvFilter::new(EXPORTED))
    });
    let bridge = exporters
        .logs
        .as_ref()
        .map(|provider| OpenTelemetryTracingBridge::new(provider).with_filter(EnvFilter::new(EXPORTED)));
    tracing_subscriber::registry().with(lines).with(spans).with(bridge).try_init().map_err(Failure::internal)?;
    panics::log_them();
    Ok(exporters)
}

fn exporters(process: &str, settings: &Telemetry) -> Result<Exporters, Failure> {
    let flush_max = Duration::from_millis(settings.flush_millis_max);
    if settings.endpoint.is_empty() {
        return Ok(Exporters { flush_max, ..Exporters::default() });
    }
    let refused = |error: opentelemetry_otlp::ExporterBuildError| {
        let failure = Failure::new(Kind::Invalid, "CONFIG_INVALID", "telemetry.endpoint: cannot be used");
        failure.caused_by(error)
    };
    let resource = Resource::builder().with_service_name(format!("revisit-{process}")).build();
    let endpoint = settings.endpoint.as_str();
    let spans = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint);
    let points = opentelemetry_otlp::MetricExporter::builder().with_tonic().with_endpoint(endpoint);
    let records = opentelemetry_otlp::LogExporter::builder().with_tonic().with_endpoint(endpoint);
    // What the caller decided holds, or a trace would have holes.
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio)));
    let traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(sampler)
        .with_batch_exporter(spans.build().map_err(refused)?)
        .build();
    let metrics = SdkMeterProvider::builder()
        .with_resource(resource.clone())
        .with_periodic_exporter(points.build().map_err(refused)?)
        .build();
    let logs = SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(records.build().map_err(refused)?)
        .build();
    global::set_meter_provider(metrics.clone());
    Ok(Exporters { traces: Some(traces), metrics: Some(metrics), logs: Some(logs), flush_max })
}

impl Exporters {
    /// Sends what is left, for a bounded time: a collector that is away must not hold the process back.
    pub async fn flush(self) {
        let flushed = tokio::task::spawn_blocking(move || {
            let mut results = Vec::new();
            results.extend(self.traces.map(|provider| provider.shutdown_with_timeout(self.flush_max)));
            results.extend(self.metrics.map(|provider| provider.shutdown_with_timeout(self.flush_max)));
            results.extend(self.logs.map(|provider| provider.shutdown_with_timeout(self.flush_max)));
            results.into_iter().filter_map(Result::err).map(|error| error.to_string()).next()
        });
        if let Ok(Some(error)) = flushed.await {
            tracing::warn!(error, "the last telemetry did not leave");
        }
    }
}

/// A number that stands until it changes, told apart by one label.
#[derive(Clone, Debug)]
pub struct Level {
    gauge: Gauge<i64>,
    label: &'static str,
}

impl Level {
    /// Measures with the process's meter.
    #[must_use]
    pub fn new(name: &'static str, label: &'static str) -> Self {
        Self { gauge: global::meter("revisit").i64_gauge(name).build(), label }
    }

    /// What it is now.
    pub fn set(&self, of: &str, value: i64) {
        self.gauge.record(value, &[KeyValue::new(self.label, of.to_owned())]);
    }
}

/// How long something takes, again and again.
#[derive(Clone, Debug)]
pub struct Spread(Histogram<f64>);

impl Spread {
    /// Measures with the process's meter, in seconds.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self(global::meter("revisit").f64_histogram(name).with_unit("s").with_boundaries(SECONDS.to_vec()).build())
    }

    /// It took so long once.
    pub fn record(&self, span: Duration) {
        self.0.record(span.as_secs_f64(), &[]);
    }
}

/// Bounds of a [`Spread`]: from a millisecond to a quarter of an hour.
const SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0, 900.0];

/// A number that only rises, told apart by one label.
#[derive(Clone, Debug)]
pub struct Tally {
    counter: Counter<u64>,
    label: &'static str,
}

impl Tally {
    /// Measures with the process's meter.
    #[must_use]
    pub fn new(name: &'static str, label: &'static str) -> Self {
        Self { counter: global::meter("revisit").u64_counter(name).build(), label }
    }

    /// So many more.
    pub fn add(&self, of: &str, count: u64) {
        self.counter.add(count, &[KeyValue::new(self.label, of.to_owned())]);
    }
}

/// Opens a span per call, as the child of the caller's, and measures the call.
#[derive(Clone)]
pub struct Traces {
    seconds: Histogram<f64>,
}

impl Default for Traces {
    fn default() -> Self {
        Self::new()
    }
}

impl Traces {
    /// Measures with the process's meter.
    #[must_use]
    pub fn new() -> Self {
        let meter = global::meter("revisit");
        Self { seconds: meter.f64_histogram("rpc.server.duration").with_unit("s").build() }
    }
}

impl Step for Traces {
    async fn step<S: Inner>(self, request: Request<Body>, next: S) -> Response<Body> {
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let (service, method) = path.split_once('/').unwrap_or((&path, ""));
        let span = tracing::info_span!(
            "call",
            otel.name = path,
            otel.kind = "server",
            rpc.system = "grpc",
            rpc.service = service,
            rpc.method = method,
            rpc.grpc.status_code = field::Empty,
        );
        let parent = global::get_text_map_propagator(|propagator| propagator.extract(&Headers(request.headers())));
        // Without a tracer there is no parent to set: then nothing is traced, which is no fault.
        let _ = span.set_parent(parent);
        let began = Instant::now();
        let response = pass(next, request).instrument(span.clone()).await;
        // A refused call carries its code in the headers; one that began to answer is counted as OK.
        let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok()).unwrap_or("0");
        span.record("rpc.grpc.status_code", code);
        let labels = [
            KeyValue::new("rpc.service", service.to_owned()),
            KeyValue::new("rpc.method", method.to_owned()),
            KeyValue::new("rpc.grpc.status_code", code.to_owned()),
        ];
        self.seconds.record(began.elapsed().as_secs_f64(), &labels);
        response
    }
}

/// Writes the current span into the headers of a call to a peer.
pub(crate) fn inject(headers: &mut http::HeaderMap) {
    let context: Context = Span::current().context();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut HeadersMut(headers)));
}

struct Headers<'a>(&'a http::HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut http::HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(key), http::HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
