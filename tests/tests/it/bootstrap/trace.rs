//! One trace spans a call, the event that it causes and the consumer that applies it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::{Context, trace::TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use revisit_proto::customer::v1::{ListTimelineRequest, timeline_client::TimelineClient};
use tonic::{Request, metadata::MetadataValue, transport::Endpoint};
use tracing::Level;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt};

use super::events::Pair;

/// Keeps every ended span.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl Kept {
    /// Names of the spans of a trace.
    fn of_trace(&self, trace: &str) -> Vec<String> {
        let spans = self.0.lock().expect("no panic");
        let of_trace = spans.iter().filter(|span| span.span_context.trace_id().to_string() == trace);
        of_trace.map(|span| span.name.to_string()).collect()
    }
}

impl SpanProcessor for Kept {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().expect("no panic").push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

// On one thread, so that the subscriber of this test sees what the whole process does.
#[tokio::test(flavor = "current_thread")]
async fn one_trace_spans_a_call_its_event_and_the_consumer() {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_span_processor(kept.clone()).build();
    // As when serving: spans of a connection, which may begin inside a call and outlive it, are not ours to keep.
    let ours = Targets::new().with_target("revisit", Level::TRACE);
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test")).with_filter(ours);
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());

    let pair = Pair::start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let mut request = Request::new(ListTimelineRequest::default());
    let parent = MetadataValue::try_from(format!("00-{trace}-b7ad6b7169203331-01")).expect("ASCII");
    request.metadata_mut().insert("traceparent", parent);
    let channel = Endpoint::from_shared(format!("http://{}", pair.running.address)).expect("an address").connect_lazy();
    TimelineClient::new(channel).list_timeline(request).await.expect("it emits");
    pair.settled().await;

    let wanted = ["revisit.customer.v1.Timeline/ListTimeline", "consume"];
    let ended = async {
        // A span ends when the last that refers to it does, which may be after the answer.
        while !wanted.iter().all(|name| kept.of_trace(trace).iter().any(|found| found == name)) {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
    assert!(ended.is_ok(), "{:?}", kept.of_trace(trace));
}
