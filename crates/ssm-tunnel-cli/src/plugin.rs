//! What the drop-in for session-manager-plugin is made of.
//!
//! # What it gets
//!
//! | argument | what it is |
//! |---|---|
//! | 1 | StartSession's answer, or the name of the environment variable that holds it |
//! | 2 | region |
//! | 3 | `StartSession` |
//! | 4 | profile, may be empty |
//! | 5 | the request's parameters |
//! | 6 | endpoint of Systems Manager, and of no other service |
//!
//! Old versions of the AWS CLI leave out the last three; an empty argument is a missing one.
//!
//! # Whom it acts as
//!
//! The caller: it resumes, terminates and signs with the credentials that started the session. The
//! AWS CLI passes on only the name of its `--profile`, so they are resolved by the CLI's own rules
//! (`--profile` goes before the environment's keys), and of a role the CLI's own session is taken
//! from its cache: the entry counts if it bears the name that the session's id begins with. No MFA
//! code is asked for, whatever the profile says. [`caller`] has the rest.
//!
//! # Where it listens
//!
//! Where the caller asked for (argument 5: `localPortNumber`, or `localConnectionType` and
//! `localUnixSocket`), else on a free port: never where the agent's handshake says, which is another
//! machine's. A document's own default for these parameters therefore does not count.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `SSM_PLUGIN_LOCAL_HOST` | the host to listen on, `localhost` unless set |
//! | `SSM_PLUGIN_SKIP_CLIENT_CONFIGURE` | `true` leaves the data channel's first request unsigned: no credentials are needed until the session is resumed or terminated |
//! | `SSM_TUNNEL_PLUGIN_LOG` | a file to log to, at the levels of `SSM_TUNNEL_LOG` |
//!
//! The exit code is 0 even for a session that failed, as the reference plugin's is: what went wrong
//! is in the last line. Source of all this: `aws/session-manager-plugin`
//! `src/sessionmanagerplugin/session` @61cf1288 and @29db6846, and
//! `awscli/customizations/sessionmanager.py` and `ecs/executecommand.py` of the AWS CLI 1.46 and 2.

pub mod caller;
pub mod install;
pub mod request;
pub mod session;
