//! One trace for each message, over all processes that have to do with it.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message as _;
use serde_json::Value as Line;

use crate::push::Pushing;
use crate::rig::Cluster;
use crate::support::*;
use crate::until;

/// What it was sent: the service, and a span of it.
type Spans = Arc<Mutex<Vec<(String, Span)>>>;

/// A collector that keeps what it is sent, until the process ends.
fn collector() -> (String, Spans) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let spans = Spans::default();
    let kept = spans.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            kept.lock().extend(request(stream.unwrap()));
        }
    });
    (url, spans)
}

/// One request, answered.
fn request(stream: TcpStream) -> Vec<(String, Span)> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_ascii_lowercase()),
        }
    }
    assert_eq!(head[0], "post /v1/traces http/1.1");
    let value = |name| head.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!(value("content-type:"), Some("application/x-protobuf"));
    let mut body = vec![0; value("content-length:").unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    reader.get_mut().write_all(answer).unwrap();
    let mut spans = Vec::new();
    for of_process in ExportTraceServiceRequest::decode(&*body).unwrap().resource_spans {
        let service = text(&of_process.resource.unwrap().attributes, "service.name");
        for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push((service.clone(), span));
        }
    }
    spans
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|it| it.key == key).and_then(|it| it.value.clone());
    match found {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text,
        other => panic!("{key} is {other:?}"),
    }
}

#[tokio::test]
async fn one_trace_goes_from_a_send_over_the_queue_to_the_row_and_the_push() {
    let (url, spans) = collector();
    let settings = [
        ("MOIM_OTLP_ENDPOINT", &*url),
        ("MOIM_OTLP_ONE_IN", "1"),
        ("MOIM_LOG", "info,moim_shared::trace=debug"),
        ("MOIM_LOG__FORMAT", "json"),
    ];
    let pushing = Pushing::with(2, 1, "200ms", &settings).await;
    pushing.register("bob", "phone");
    let room = pushing.room(&["bob", "cho"]);
    let mut cho = Client::connect(pushing.cluster.server(1), "cho").await;
    cho.subscribe_room(&room).await;
    let mut ann = Client::connect(pushing.cluster.server(0), "ann").await;
    let position = ann.send_room(&room, "a secret").await;
    assert_eq!(cho.bodies(1).await, ["a secret"]);
    let wanted: BTreeSet<(String, String)> = [
        ("moim-server", "append"),
        ("moim-server", "deliver"),
        ("moim-server", "enqueue"),
        ("moim-server", "send"),
        ("moim-worker", "push"),
        ("moim-worker", "store"),
    ]
    .map(|(service, step)| (service.to_owned(), step.to_owned()))
    .into();
    let of_message = || -> Vec<(String, Span)> {
        let all = spans.lock().clone();
        let is_it = |span: &Span| {
            text(&span.attributes, "room.id") == room
                && text(&span.attributes, "position") == position
        };
        all.into_iter().filter(|(_, span)| is_it(span)).collect()
    };
    let named = |spans: &[(String, Span)]| -> BTreeSet<(String, String)> {
        spans.iter().map(|(service, span)| (service.clone(), span.name.clone())).collect()
    };
    until("all steps are told", Duration::from_secs(60), async || {
        named(&of_message()).is_superset(&wanted)
    })
    .await;
    let all = of_message();
    assert_eq!((named(&all), all.len()), (wanted.clone(), 6));
    let by_step: HashMap<&str, &Span> = all.iter().map(|(_, span)| (&*span.name, span)).collect();
    let send = by_step["send"];
    assert!(send.parent_span_id.is_empty() && send.start_time_unix_nano > 0);
    for (step, span) in by_step {
        assert_eq!(span.trace_id, send.trace_id, "{step}");
        assert!(step == "send" || span.parent_span_id == send.span_id, "{step}");
        assert!(!format!("{span:?}").contains("secret"), "{step}");
    }
    the_log_tells_the_same(&pushing.cluster, &send.trace_id, &wanted).await;
    pushing.cluster.end().await;
}

/// In lines of all processes that have the trace's id, one of them with the session; none has a body.
async fn the_log_tells_the_same(
    cluster: &Cluster,
    trace: &[u8],
    wanted: &BTreeSet<(String, String)>,
) {
    let trace: String = trace.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = || -> Vec<(String, Line)> {
        let of = |service: &str, server: &Server| -> Vec<(String, Line)> {
            let text = server.log.text();
            assert!(!text.contains("secret"), "{text}");
            let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
            let lines = lines.filter(|line: &Line| line["fields"]["trace.id"] == *trace);
            lines.map(|line| (service.to_owned(), line["fields"].clone())).collect()
        };
        let servers = cluster.servers().flat_map(|server| of("moim-server", server));
        servers.chain(of("moim-worker", cluster.worker(0))).collect()
    };
    until("the log has all steps", Duration::from_secs(10), async || {
        let lines = lines();
        let step = |(service, line): &(String, Line)| {
            Some((service.clone(), line["step"].as_str()?.to_owned()))
        };
        let answered = lines.iter().filter(|(_, line)| line["session.id"].is_u64()).count();
        lines.iter().filter_map(step).collect::<BTreeSet<_>>() == *wanted && answered == 1
    })
    .await;
}
