//! The trace that an event carries from the call that caused it to the consumer that applies it (W3C trace context).

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::envelope::Envelope;

/// The `traceparent` of the current span; empty when no tracer is installed.
#[must_use]
pub fn traceparent() -> String {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    if span.is_valid() { render(span) } else { String::new() }
}

/// Makes the call that caused `envelope` the parent of `span`. To be called before the span is entered.
pub fn continue_trace(span: &Span, envelope: &Envelope) {
    if let Some(parent) = parse(&envelope.traceparent) {
        // Without a tracer there is no parent to set: then nothing is traced, which is no fault.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

fn render(span: &SpanContext) -> String {
    format!("00-{:032x}-{:016x}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags())
}

/// Reads version 00; later versions keep its four fields in front, so what follows them is ignored.
fn parse(text: &str) -> Option<SpanContext> {
    let mut fields = text.splitn(5, '-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    if (version.len(), trace.len(), span.len(), flags.len()) != (2, 32, 16, 2) || version == "ff" {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_traceparent_survives_the_journey_and_damaged_ones_are_ignored() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(parse(text).map(|context| render(&context)).as_deref(), Some(text));
        for damaged in [
            "",
            "00-0af7-b7ad-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert!(parse(damaged).is_none(), "{damaged}");
        }
    }

    #[test]
    fn the_consumers_span_belongs_to_the_trace_of_the_call_that_caused_the_event() {
        let provider = SdkTracerProvider::builder().build();
        let tracing =
            tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")));
        tracing::subscriber::with_default(tracing, || {
            let caused = tracing::info_span!("call").in_scope(traceparent);
            let envelope = Envelope { traceparent: caused.clone(), ..Envelope::default() };
            let span = tracing::info_span!("consume");
            continue_trace(&span, &envelope);
            let applied = span.in_scope(traceparent);
            assert_eq!(caused.len(), 55);
            assert_eq!(applied[..35], caused[..35], "version and trace id");
            assert_ne!(applied, caused);
        });
    }

    #[test]
    fn without_a_tracer_there_is_no_traceparent() {
        assert_eq!(traceparent(), "");
    }
}
