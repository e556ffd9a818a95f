//! The AWS Query protocol, which STS, IAM and (in its own dialect) EC2 speak: forms in, XML out.

use std::collections::BTreeMap;

use http::StatusCode;

use super::response::ServiceResponse;

pub(crate) type Form = BTreeMap<String, String>;

pub(crate) const STS: Service = Service {
    name: "sts",
    version: "2011-06-15",
};
pub(crate) const IAM: Service = Service {
    name: "iam",
    version: "2010-05-08",
};

pub(crate) const EC2: Service = Service {
    name: "ec2",
    version: "2016-11-15",
};

/// A service with this protocol. A form names it by its API's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    version: &'static str,
}

pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

pub(crate) fn denied(message: impl Into<String>) -> Failure {
    Failure {
        status: StatusCode::FORBIDDEN,
        code: "AccessDenied",
        message: message.into(),
    }
}

pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure {
        status: StatusCode::BAD_REQUEST,
        code: "ValidationError",
        message: message.into(),
    }
}

/// A denial of EC2; `context` is the end of AWS's text.
pub(crate) fn unauthorized(
    arn: &str,
    action: &str,
    resource: Option<&str>,
    context: &str,
) -> Failure {
    let on = resource.map_or_else(String::new, |resource| format!(" on resource: {resource}"));
    Failure {
        status: StatusCode::FORBIDDEN,
        code: "UnauthorizedOperation",
        message: format!(
            "You are not authorized to perform this operation. User: {arn} is not authorized to perform: {action}{on} {context}"
        ),
    }
}

impl Service {
    pub(crate) fn of(form: &Form) -> Self {
        match form.get("Version") {
            Some(version) if version == IAM.version => IAM,
            Some(version) if version == EC2.version => EC2,
            _ => STS,
        }
    }

    fn namespace(&self) -> String {
        format!("https://{}.amazonaws.com/doc/{}/", self.name, self.version)
    }

    pub(crate) fn unknown_action(&self, action: &str) -> Failure {
        Failure {
            status: StatusCode::BAD_REQUEST,
            code: "InvalidAction",
            message: format!(
                "Could not find operation {action} for version {}",
                self.version
            ),
        }
    }

    /// An action's outcome, as XML.
    pub(crate) fn answer(
        &self,
        action: &str,
        outcome: Result<String, Failure>,
        request_id: uuid::Uuid,
    ) -> ServiceResponse {
        let namespace = self.namespace();
        match outcome {
            Ok(result) => ServiceResponse {
                status: StatusCode::OK,
                content_type: "text/xml",
                body: format!(
                    "<{action}Response xmlns=\"{namespace}\"><{action}Result>{result}</{action}Result>\
                     <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
                ),
                error: None,
            },
            Err(failure) => self.error(failure.status, failure.code, &failure.message),
        }
    }

    pub(crate) fn error(&self, status: StatusCode, code: &str, message: &str) -> ServiceResponse {
        if *self == EC2 {
            return ec2_error(status, code, message);
        }
        let namespace = self.namespace();
        ServiceResponse {
            status,
            content_type: "text/xml",
            body: format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>Sender</Type><Code>{}</Code>\
                 <Message>{}</Message></Error></ErrorResponse>",
                escape(code),
                escape(message)
            ),
            error: Some(code.to_owned()),
        }
    }
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// EC2's errors have their own form, and some codes of their own.
fn ec2_error(status: StatusCode, code: &str, message: &str) -> ServiceResponse {
    // STS and IAM have other names for these.
    let code = match code {
        "InvalidClientTokenId" | "SignatureDoesNotMatch" => "AuthFailure",
        "ExpiredToken" => "RequestExpired",
        "ThrottlingException" => "RequestLimitExceeded",
        code => code,
    };
    ServiceResponse {
        status,
        content_type: "text/xml;charset=UTF-8",
        body: format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error></Errors><RequestID>0a1b</RequestID></Response>",
            escape(code),
            escape(message)
        ),
        error: Some(code.to_owned()),
    }
}
