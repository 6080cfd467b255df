//! The collector of traces: whether it takes an empty message.

use super::{Verdict, aside};
use crate::config::BaseUrl;
use crate::https;
use crate::trace::PATIENCE;

/// Traces are for people who look; nothing waits for them.
pub async fn traces(endpoint: &BaseUrl) -> Vec<Verdict> {
    let (url, agent) = (endpoint.traces(), https::agent(endpoint.as_str(), PATIENCE));
    let asked = aside(move || {
        let request = agent.post(&url).header("content-type", "application/x-protobuf");
        request.send_empty().map(|_| url).map_err(|error| error.to_string())
    });
    match asked.await {
        Ok(Ok(url)) => vec![Verdict::Fine(format!("taken at {url}"))],
        Ok(Err(why)) => vec![Verdict::Risky(format!(
            "no traces are taken at {endpoint}: {why}; correct MOIM_OTLP_ENDPOINT, or leave it out"
        ))],
        Err(error) => vec![Verdict::Wrong(error)],
    }
}
