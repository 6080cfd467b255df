//! Origins, probes and metrics.

use crate::SERVER;
use crate::support::*;

async fn upgrade(server: &Server, origin: Option<&str>) -> Result<(), u16> {
    let open = Open::new(server);
    let open = if let Some(origin) = origin { open.header("Origin", origin) } else { open };
    let mut client = open.answered().await?;
    client.log_in("1.2", &token("ann")).await;
    Ok(())
}

#[tokio::test]
async fn no_origin_and_the_servers_own_pass_and_foreign_ones_do_not() {
    let own = format!("http://{}", SERVER.address);
    assert_eq!(upgrade(&SERVER, None).await, Ok(()));
    assert_eq!(upgrade(&SERVER, Some(&own)).await, Ok(()));
    for foreign in ["https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "null"] {
        assert_eq!(upgrade(&SERVER, Some(foreign)).await, Err(403), "{foreign}");
    }
}

#[tokio::test]
async fn a_foreign_origin_is_told_so_and_not_to_come_back() {
    let mut wire = Wire::connect(&SERVER).await;
    let answer = wire.upgrade("/ws", "Origin: https://evil.example\r\n").await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.get("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["code"], "bad_request");
    assert_eq!(answer.get("retry-after"), None);
}

#[tokio::test]
async fn listed_origins_pass() {
    let server = Server::with(&[("MOIM_ORIGINS", "https://app.example.org,null")]);
    for good in [None, Some("https://app.example.org"), Some("null")] {
        assert_eq!(upgrade(&server, good).await, Ok(()), "{good:?}");
    }
    for bad in ["https://evil.example", "http://app.example.org", "https://app.example.org.evil"] {
        assert_eq!(upgrade(&server, Some(bad)).await, Err(403), "{bad}");
    }
}

#[tokio::test]
async fn a_star_lets_every_origin_in() {
    let server = Server::with(&[("MOIM_ORIGINS", "*")]);
    for origin in [None, Some("https://evil.example"), Some("null")] {
        assert_eq!(upgrade(&server, origin).await, Ok(()), "{origin:?}");
    }
}

#[tokio::test]
async fn the_probes_say_that_the_node_lives_and_serves() {
    let alive = SERVER.get("/livez");
    assert_eq!((alive.status, &alive.json()["status"]), (200, &"ok".into()));
    let ready = SERVER.get("/readyz");
    assert_eq!((ready.status, &ready.json()["status"]), (200, &"ok".into()));
    assert_eq!(ready.json()["dependencies"]["store"], "ok");
    assert_eq!(SERVER.get("/nowhere").status, 404);
}

#[tokio::test]
async fn the_metrics_count_connections_deliveries_and_refusals() {
    let server = Server::start();
    let mut ann = Client::connect(&server, "ann").await;
    ann.subscribe_errors().await;
    ann.subscribe_room("room").await;
    ann.send_room("room", "x").await;
    ann.next_message().await;
    ann.send(frame("SEND").header("destination", "/nowhere")).await;
    ann.next_refusal().await;
    let metrics = server.get("/metrics");
    assert_eq!(metrics.status, 200);
    let kind = metrics.get("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let lines: Vec<&str> = metrics.body.lines().collect();
    for line in [
        "moim_connections 1",
        "moim_sessions 1",
        "moim_rooms 1",
        "moim_deliveries_total 1",
        "moim_send_stored_seconds_count 1",
        r#"moim_refusals_total{reason="unknown_destination"} 1"#,
        "# EOF",
    ] {
        assert!(lines.contains(&line), "no `{line}` in\n{}", metrics.body);
    }
}

#[tokio::test]
async fn metrics_on_an_address_of_their_own_are_not_public() {
    let server = Server::with(&[("MOIM_ADMIN_LISTEN", "127.0.0.1:0")]);
    assert_eq!(server.get("/metrics").status, 404);
    assert_eq!(server.get("/readyz").status, 200);
}
