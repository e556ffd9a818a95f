//! A session in the store: JSON in the AWS CLI's format, with additions.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::session::{Session, SessionKind, SessionSource};
use crate::time::{parse, rfc3339};

const VERSION: u32 = 1;
const PROVIDER: &str = "ssm-mfa";
/// Room for a body: a growing buffer would leave copies behind.
const CAPACITY: usize = 16 << 10;

// No `Debug`: these hold secrets.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    version: u32,
    credentials: WrittenCredentials<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assumed_role_user: Option<WrittenRole<'a>>,
    meta: Meta,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenCredentials<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenRole<'a> {
    arn: &'a str,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code_needed: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Kind {
    Mfa,
    Role,
    RoleWithCode,
    RoleWithoutMfa,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Read {
    version: u32,
    credentials: ReadCredentials,
    assumed_role_user: Option<ReadRole>,
    meta: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReadCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReadRole {
    arn: String,
}

/// `None` for credentials that are not a session, or do not expire.
pub(crate) fn write(session: &Session) -> Option<Zeroizing<Vec<u8>>> {
    let kind = match session.kind {
        SessionKind::Mfa => Kind::Mfa,
        SessionKind::Role => Kind::Role,
        SessionKind::RoleWithCode => Kind::RoleWithCode,
        SessionKind::RoleWithoutMfa => Kind::RoleWithoutMfa,
        SessionKind::Configured => return None,
    };
    let credentials = &session.credentials;
    let written = Written {
        version: VERSION,
        credentials: WrittenCredentials {
            access_key_id: credentials.access_key_id(),
            secret_access_key: credentials.secret_access_key(),
            session_token: credentials.session_token()?,
            expiration: rfc3339(credentials.expiry()?),
        },
        assumed_role_user: session.arn.as_deref().map(|arn| WrittenRole { arn }),
        meta: Meta {
            kind,
            account: session.account.clone(),
            code_needed: session.code_needed.map(rfc3339),
        },
    };
    let mut body = Zeroizing::new(Vec::with_capacity(CAPACITY));
    serde_json::to_writer(&mut *body, &written).ok()?;
    Some(body)
}

/// `None` for a body that is foreign, of another version, or damaged.
pub(crate) fn read(body: &[u8]) -> Option<Session> {
    let read: Read = serde_json::from_slice(body).ok()?;
    if read.version != VERSION {
        return None;
    }
    let expiry: SystemTime = parse(&read.credentials.expiration)?;
    let kind = match read.meta.kind {
        Kind::Mfa => SessionKind::Mfa,
        Kind::Role => SessionKind::Role,
        Kind::RoleWithCode => SessionKind::RoleWithCode,
        Kind::RoleWithoutMfa => SessionKind::RoleWithoutMfa,
    };
    Some(Session {
        // These strings are moved, not copied, to where they are wiped.
        credentials: Credentials::new(
            read.credentials.access_key_id,
            read.credentials.secret_access_key,
            Some(read.credentials.session_token),
            Some(expiry),
            PROVIDER,
        ),
        kind,
        account: read.meta.account,
        arn: read.assumed_role_user.map(|role| role.arn),
        code_needed: read.meta.code_needed.as_deref().and_then(parse),
        source: SessionSource::Cache,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn session() -> Session {
        let expiry = UNIX_EPOCH + Duration::from_secs(1_795_521_845);
        Session {
            credentials: Credentials::new(
                "ASIAX",
                "s3cret",
                Some("t0ken".into()),
                Some(expiry),
                "x",
            ),
            kind: SessionKind::Role,
            account: Some("123456789012".to_owned()),
            arn: Some("arn:aws:sts::123456789012:assumed-role/dev/taro".to_owned()),
            code_needed: Some(expiry + Duration::from_secs(60)),
            source: SessionSource::Fresh,
        }
    }

    #[test]
    fn session_is_read_back_and_has_the_aws_clis_format() {
        let body = write(&session()).expect("a session that ends");
        let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(json["Credentials"]["Expiration"], "2026-11-24T12:04:05Z");
        assert_eq!(json["Credentials"]["AccessKeyId"], "ASIAX");
        let back = read(&body).expect("ours");
        assert_eq!(back.credentials.secret_access_key(), "s3cret");
        assert_eq!(back.credentials.session_token(), Some("t0ken"));
        let mut info = session().info();
        info.source = SessionSource::Cache;
        assert_eq!(back.info(), info);
    }

    #[test]
    fn foreign_or_damaged_body_is_ignored() {
        let body = write(&session()).expect("a session that ends");
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        for damaged in [
            String::new(),
            "{}".to_owned(),
            "null".to_owned(),
            text[..text.len() / 2].to_owned(),
            text.replace("\"Version\":1", "\"Version\":2"),
            text.replace("2026-11-24T12:04:05Z", "soon"),
            text.replace("SessionToken", "Token"),
            text.replace("\"Role\"", "\"Other\""),
        ] {
            assert!(read(damaged.as_bytes()).is_none(), "{damaged}");
        }
        assert!(read(&[0xff; 100]).is_none());
    }

    #[test]
    fn configured_credentials_are_never_written() {
        let mut keys = session();
        keys.kind = SessionKind::Configured;
        assert!(write(&keys).is_none());
    }
}
