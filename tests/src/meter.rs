//! Reading the metrics that the services of a test record.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        SdkMeterProvider, Temporality,
        data::{AggregatedMetrics, MetricData, ResourceMetrics},
        exporter::PushMetricExporter,
    },
};

/// The newest value by name and label, `name{label}`; of a distribution its greatest.
type Values = Arc<Mutex<BTreeMap<String, f64>>>;

/// The process's meter. To be set before what it measures starts; it is one per process, so ask it for "at least".
pub struct Meter {
    provider: SdkMeterProvider,
    values: Values,
}

struct Sink(Values);

impl Meter {
    /// Takes the place of the process's meter.
    #[must_use]
    pub fn set() -> Self {
        let values = Values::default();
        let provider = SdkMeterProvider::builder().with_periodic_exporter(Sink(values.clone())).build();
        global::set_meter_provider(provider.clone());
        Self { provider, values }
    }

    /// What it shows now.
    ///
    /// # Panics
    /// When nothing can be exported.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.provider.force_flush().expect("the sink takes everything");
        self.values.lock().expect("no test panics while it holds the values").get(name).copied()
    }
}

impl PushMetricExporter for Sink {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut values = self.0.lock().expect("no test panics while it holds the values");
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            for (label, value) in points(metric.data()) {
                values.insert(format!("{}{label}", metric.name()), value);
            }
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

fn points(data: &AggregatedMetrics) -> Vec<(String, f64)> {
    match data {
        AggregatedMetrics::I64(MetricData::Gauge(gauge)) => {
            gauge.data_points().map(|point| (label(point.attributes()), point.value() as f64)).collect()
        }
        AggregatedMetrics::U64(MetricData::Sum(sum)) => {
            sum.data_points().map(|point| (label(point.attributes()), point.value() as f64)).collect()
        }
        AggregatedMetrics::F64(MetricData::Histogram(spread)) => {
            spread.data_points().map(|point| (label(point.attributes()), point.max().unwrap_or_default())).collect()
        }
        // The services have no instruments of other kinds.
        AggregatedMetrics::F64(_) | AggregatedMetrics::U64(_) | AggregatedMetrics::I64(_) => Vec::new(),
    }
}

fn label<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let values: Vec<_> = attributes.map(|pair| pair.value.to_string()).collect();
    if values.is_empty() { String::new() } else { format!("{{{}}}", values.join(",")) }
}
