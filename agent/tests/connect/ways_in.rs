//! Ways to connect: socket, TCP, passwords, files, every `sslmode`, and what can go wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use agent::postgres::{ConnectCause, Purpose, Session};

use crate::middleman::{Manner, middleman};
use crate::server::{CANARY_IN_FILE, CANARY_IN_URI, free_port};
use crate::{admin, connect, info_in, meter, over_tcp, prepared, refused, uses_tls};

#[tokio::test]
async fn socket_and_tcp_with_scram() {
    let Some(server) = prepared().await else { return };
    assert!(!uses_tls(&admin(server)).await, "there is no TLS on a socket");
    assert!(!uses_tls(&format!("{} sslmode=require", admin(server))).await);
    assert!(uses_tls(&over_tcp(server, "app", "")).await, "the default is TLS where possible");
    let port = server.port;
    let uri = format!("postgresql://app:{CANARY_IN_URI}@127.0.0.1:{port}/postgres?sslmode=disable");
    assert!(!uses_tls(&uri).await);
    assert!(uses_tls(&over_tcp(server, "app", "host='' hostaddr=127.0.0.1")).await);
}

#[tokio::test]
async fn wrong_and_missing_passwords() {
    let Some(server) = prepared().await else { return };
    let port = server.port;
    let wrong = format!("postgresql://app:{CANARY_IN_URI}c4nary@localhost:{port}/postgres");
    let (cause, message) = refused(&wrong).await;
    assert_eq!(cause, ConnectCause::Authentication);
    assert!(message.contains("password authentication failed") && message.contains(".pgpass"));
    let (cause, message) = refused(&format!("postgresql://app@localhost:{port}/postgres")).await;
    assert_eq!(cause, ConnectCause::Authentication);
    assert!(message.contains("asks for a password and none was given"), "{message}");
    let (cause, _) = refused(&over_tcp(server, "nobody", "")).await;
    assert_eq!(cause, ConnectCause::Authentication);
}

#[tokio::test]
async fn password_file_and_service_file() {
    let Some(server) = prepared().await else { return };
    let home = tempfile::tempdir().unwrap();
    let (passfile, services) = (home.path().join(".pgpass"), home.path().join(".pg_service.conf"));
    let port = server.port;
    fs::write(&passfile, format!("# ours\nlocalhost:{port}:*:app:{CANARY_IN_FILE}\n")).unwrap();
    fs::write(
        &services,
        format!("[shop]\nhost=localhost\nport={port}\nuser=app\ndbname=postgres\n"),
    )
    .unwrap();
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600)).unwrap();
    let env = [("HOME", home.path().to_str().unwrap()), ("PGSERVICE", "shop")];
    let session = Session::connect(&info_in("", &env), Purpose::Sample, &meter()).await.unwrap();
    let row = session.query_one("select session_user::text", &[]).await.unwrap();
    assert_eq!(row.try_get::<_, String>(0).unwrap(), "app");
    session.close().await;

    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o644)).unwrap();
    let info = info_in("service=shop", &env);
    assert!(info.warnings()[0].contains("chmod 0600"));
    let error = Session::connect(&info, Purpose::Sample, &meter()).await.unwrap_err();
    assert_eq!(error.connect_cause(), Some(ConnectCause::Authentication));
    let hint = error.hint().unwrap();
    assert!(hint.contains("is ignored: group or others may access it; run chmod 0600"), "{hint}");
}

#[tokio::test]
async fn every_sslmode_does_what_it_says() {
    let Some(server) = prepared().await else { return };
    let (root, other) = (server.file("root.crt"), server.file("other.crt"));
    // The certificate is for localhost; 127.0.0.1 is the wrong name for it.
    let right = |more: &str| over_tcp(server, "app", more);
    let wrong = |more: &str| over_tcp(server, "app", &format!("{more} host=127.0.0.1"));

    assert!(!uses_tls(&right("sslmode=disable")).await);
    assert!(!uses_tls(&right("sslmode=allow")).await);
    for mode in ["prefer", "require"] {
        assert!(uses_tls(&right(&format!("sslmode={mode}"))).await);
        assert!(uses_tls(&wrong(&format!("sslmode={mode}"))).await);
    }
    for mode in ["require", "verify-ca"] {
        assert!(uses_tls(&wrong(&format!("sslmode={mode} sslrootcert={root}"))).await);
        let (cause, message) =
            refused(&right(&format!("sslmode={mode} sslrootcert={other}"))).await;
        assert_eq!(cause, ConnectCause::Tls);
        assert!(message.contains("no trusted authority signed"), "{message}");
    }
    assert!(uses_tls(&right(&format!("sslmode=verify-full sslrootcert={root}"))).await);
    let (cause, message) =
        refused(&wrong(&format!("sslmode=verify-full sslrootcert={root}"))).await;
    assert_eq!(cause, ConnectCause::Tls);
    assert!(message.contains("subjectAltName"), "{message}");

    let (cause, message) = refused(&right("sslmode=verify-ca")).await;
    assert_eq!(cause, ConnectCause::Tls);
    assert!(message.contains("no root certificate is known"), "{message}");
    // Where this machine has authorities of its own, none of them has signed our certificate.
    assert_eq!(refused(&right("sslrootcert=system")).await.0, ConnectCause::Tls);
    // Like libpq: an untrusted certificate makes `prefer` go on without TLS.
    assert!(!uses_tls(&right(&format!("sslmode=prefer sslrootcert={other}"))).await);
}

#[tokio::test]
async fn allow_and_prefer_try_the_other_way() {
    let Some(server) = prepared().await else { return };
    assert!(uses_tls(&over_tcp(server, "only_tls", "sslmode=allow")).await);
    assert!(uses_tls(&over_tcp(server, "only_tls", "sslmode=prefer")).await);
    assert!(!uses_tls(&over_tcp(server, "only_plain", "sslmode=allow")).await);
    assert!(!uses_tls(&over_tcp(server, "only_plain", "sslmode=prefer")).await);
    let (cause, message) = refused(&over_tcp(server, "only_tls", "sslmode=disable")).await;
    assert_eq!(cause, ConnectCause::Authentication, "{message}");
    let (cause, _) = refused(&over_tcp(server, "only_plain", "sslmode=require")).await;
    assert_eq!(cause, ConnectCause::Authentication);

    let port = middleman(server.port, Manner::NoTls);
    let without = |more: &str| over_tcp(server, "app", &format!("{more} port={port}"));
    assert!(!uses_tls(&without("sslmode=prefer")).await);
    let (cause, message) = refused(&without("sslmode=require")).await;
    assert_eq!(cause, ConnectCause::Tls);
    assert!(message.contains("server does not support TLS"), "{message}");
}

#[tokio::test]
async fn client_certificates_and_channel_binding() {
    let Some(server) = prepared().await else { return };
    let files =
        format!("sslcert={} sslkey={}", server.file("client.crt"), server.file("client.key"));
    assert!(uses_tls(&over_tcp(server, "by_certificate", &files)).await);
    let (cause, message) = refused(&over_tcp(server, "by_certificate", "sslmode=require")).await;
    assert_eq!(cause, ConnectCause::Authentication, "{message}");

    assert!(uses_tls(&over_tcp(server, "app", "channel_binding=require")).await);
    let plain = over_tcp(server, "app", "channel_binding=require sslmode=disable");
    let (cause, message) = refused(&plain).await;
    assert_eq!(cause, ConnectCause::Authentication);
    assert!(message.contains("channel binding"), "{message}");
}

#[tokio::test]
async fn nothing_there_or_not_for_us() {
    let Some(server) = prepared().await else { return };
    let nobody = free_port();
    let (cause, message) = refused(&format!("host=127.0.0.1 port={nobody} user=app")).await;
    assert_eq!(cause, ConnectCause::Unreachable);
    assert!(message.contains("connection refused") && message.contains("listen_addresses"));
    let (cause, message) = refused("host=/nonexistent user=app").await;
    assert_eq!(cause, ConnectCause::Unreachable);
    assert!(message.contains("/nonexistent:5432") && message.contains("no server socket"));
    let (cause, message) = refused("host=no-such-host.invalid user=app connect_timeout=5").await;
    assert!(matches!(cause, ConnectCause::Unreachable | ConnectCause::Timeout), "{message}");
    let (cause, message) = refused(&format!("{} dbname=gone", admin(server))).await;
    assert_eq!(cause, ConnectCause::NoSuchDatabase);
    assert!(message.contains("gone"));
    let (cause, _) = refused(&over_tcp(server, "app", "dbname=closed")).await;
    assert_eq!(cause, ConnectCause::NotPermitted);

    let silent = middleman(server.port, Manner::Silent);
    let given = over_tcp(server, "app", &format!("port={silent} connect_timeout=1"));
    let (cause, message) = refused(&given).await;
    assert_eq!(cause, ConnectCause::Timeout);
    assert!(message.contains("no answer within 1 s"), "{message}");
    let foreign = middleman(server.port, Manner::Foreign);
    let given = over_tcp(server, "app", &format!("port={foreign} sslmode=disable"));
    let (cause, message) = refused(&given).await;
    assert_eq!(cause, ConnectCause::Unsupported, "{message}");
    assert!(message.contains("does not speak PostgreSQL's protocol"), "{message}");
}

#[tokio::test]
async fn several_hosts_are_tried_in_order() {
    let Some(server) = prepared().await else { return };
    let (port, nobody) = (server.port, free_port());
    let more = format!("host=127.0.0.1,localhost port={nobody},{port}");
    assert!(uses_tls(&over_tcp(server, "app", &more)).await);
    let more = format!("host=127.0.0.1,localhost port={nobody},{nobody}");
    let (cause, message) = refused(&over_tcp(server, "app", &more)).await;
    assert_eq!(cause, ConnectCause::Unreachable);
    assert!(message.contains("nor to `app@localhost"), "{message}");

    let session = connect(&format!("{} target_session_attrs=primary", admin(server))).await;
    assert!(!session.unwrap().facts().in_recovery);
    let (cause, message) =
        refused(&format!("{} target_session_attrs=standby", admin(server))).await;
    assert_eq!(cause, ConnectCause::WrongSession);
    assert!(message.contains("not standby"), "{message}");
    let preferred = format!("{} target_session_attrs=prefer-standby", admin(server));
    assert!(connect(&preferred).await.is_ok());
}

#[tokio::test]
async fn an_old_server_is_refused_kindly() {
    let Some(server) = prepared().await else { return };
    let number = connect(&admin(server)).await.unwrap().version().0;
    let manner = Manner::Replaces(number.to_string(), "130011".to_owned());
    let port = middleman(server.port, manner);
    let given = over_tcp(server, "app", &format!("port={port} sslmode=disable"));
    let (cause, message) = refused(&given).await;
    assert_eq!(cause, ConnectCause::Unsupported);
    assert!(message.contains("PostgreSQL 13.11; pgwright supports 14 to 18"), "{message}");
}
