//! Moving the clock from due instant to due instant, and waiting for rest.

use std::time::Duration;

use revisit_core::Timestamp;

use super::Company;

/// How long anything may take to come to rest.
const REST_MAX: Duration = Duration::from_secs(30);

impl Company {
    /// Waits until every event was applied and nothing is due, and callers get answers.
    pub async fn settle(&self) {
        self.rest().await;
        self.be_fresh().await;
    }

    async fn rest(&self) {
        let rest = async {
            let mut tick = tokio::time::interval(Duration::from_millis(2));
            loop {
                if self.speaker.was_heard(&self.database.reader).await && self.quiet().await {
                    return;
                }
                tick.tick().await;
            }
        };
        tokio::time::timeout(REST_MAX, rest).await.expect("it comes to rest");
    }

    /// Asks again and again until there is an answer.
    pub async fn until<T>(&self, ask: impl AsyncFn() -> Option<T>) -> T {
        let waiting = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                if let Some(answer) = ask().await {
                    return answer;
                }
                tick.tick().await;
            }
        };
        tokio::time::timeout(REST_MAX, waiting).await.expect("it comes to be")
    }

    async fn quiet(&self) -> bool {
        for replica in &self.replicas {
            for rest in &replica.rest {
                if !rest.settled().await {
                    return false;
                }
            }
        }
        true
    }

    /// The next instant at which something is due.
    pub async fn next_due(&self) -> Option<Timestamp> {
        self.first().next_due().await
    }

    /// Moves the clock from due instant to due instant.
    pub async fn advance_to(&self, end: Timestamp) {
        self.rest().await;
        while let Some(due) = self.next_due().await.filter(|due| *due <= end) {
            self.clock.set_wall(due.max(self.now()));
            self.rest().await;
        }
        self.clock.set_wall(end);
        self.settle().await;
    }

    /// Moves the clock to a local time in Shanghai.
    pub async fn advance_to_local(&self, local: &str) {
        self.advance_to(shanghai(local)).await;
    }
}

/// The instant of a local time in Shanghai, `2026-03-02T09:00`, which is eight hours ahead all year.
pub fn shanghai(local: &str) -> Timestamp {
    let (date, time) = local.split_once('T').expect("date and time");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    let mut parts = date.split('-').map(number);
    let (year, month, day) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let (hour, minute) = time.split_once(':').expect("hour and minute");
    // Days since 1970 of the proleptic Gregorian calendar, counted in years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Timestamp::from_seconds(days * 86_400 + (number(hour) - 8) * 3_600 + number(minute) * 60)
}
