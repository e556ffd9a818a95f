//! `--sandbox`: the main job, demonstrated on this machine.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use ssm_mfa::{MemoryStore, MfaCode, MfaProvider, TerminalPrompt};
use ssm_sandbox::{Instance, Sandbox};
use ssm_tunnel::{Tunnel, TunnelBuilder};

use super::demo;
use crate::output::{Output, exit};
use crate::process::Signals;
use crate::tunnels::or_leave;

/// The sandbox's instance.
pub const TARGET: &str = "i-0123456789abcdef0";
/// Its `Name` tag.
pub const NAME: &str = "my-windows-box";
/// Its region.
pub const REGION: &str = "us-east-1";
/// The agent sends about 1 MB per second, like the real one; uploads are not limited.
const UPLOAD: u64 = 8 << 20;
const DOWNLOAD: u64 = 2 << 20;

/// A running sandbox and its purpose.
#[derive(Debug)]
pub struct Story {
    sandbox: Arc<Sandbox>,
    output: Output,
    /// Whether the tunnel stays open, for the user's own destination.
    stays_open: bool,
}

impl Story {
    /// Starts the sandbox, with a demo service behind its instance unless `destination` is given.
    ///
    /// # Errors
    /// When loopback cannot be listened on.
    pub async fn begin(output: Output, destination: Option<SocketAddr>) -> anyhow::Result<Self> {
        let stays_open = destination.is_some();
        let destination = match destination {
            Some(destination) => destination,
            None => demo::start_service().await?,
        };
        let sandbox = Sandbox::builder()
            .instance(Instance::new(TARGET).name(NAME).destination(destination))
            .start()
            .await
            .context("the sandbox did not start")?;
        output.say(&format!(
            "A stand-in for AWS runs on this machine at {}: STS, Systems Manager, the message\n\
             gateway, and {TARGET} ({NAME}), a Windows instance without any open port.",
            sandbox.endpoint_url(),
        ));
        Ok(Self {
            sandbox: Arc::new(sandbox),
            output,
            stays_open,
        })
    }

    /// The IAM user's long-term keys, as a workstation has them.
    pub fn config(&self) -> SdkConfig {
        let keys = Credentials::new(
            self.sandbox.access_key_id(),
            self.sandbox.secret_access_key(),
            None,
            None,
            "sandbox",
        );
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(REGION))
            .endpoint_url(self.sandbox.endpoint_url())
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .build()
    }

    /// Shows the denial without MFA.
    ///
    /// # Errors
    /// When the sandbox opens the tunnel all the same.
    pub async fn show_denial(&self, tunnel: TunnelBuilder) -> anyhow::Result<()> {
        self.output
            .say("\n1. Without MFA, the account's policy denies the session:");
        match tunnel.open().await {
            Ok(_) => bail!("the sandbox opened a session without MFA"),
            Err(error) => self.output.say(&format!("   {error}")),
        }
        Ok(())
    }

    /// Asks for the code on the terminal; without one takes it from the sandbox.
    ///
    /// # Errors
    /// When the code is not accepted.
    pub async fn log_in(&self) -> anyhow::Result<SdkConfig> {
        let config = self.config();
        let builder = MfaProvider::builder()
            .sts_config(&config)
            .serial(self.sandbox.mfa_serial().parse()?)
            .store(MemoryStore::new()); // the sandbox ends with the program
        let interactive = !self.stays_open && std::io::stdin().is_terminal();
        self.output.say("\n2. With a code of the MFA device:");
        let provider = if interactive {
            let code = self.sandbox.next_unused_code();
            self.output
                .say(&format!("   the sandbox's device shows {code} - type it:"));
            builder.code_source(TerminalPrompt::new()).build()?
        } else {
            self.output
                .say("   no terminal to ask on, so the sandbox's device is read directly");
            let sandbox = self.sandbox.clone();
            let read = ssm_mfa::from_fn(move |_| {
                let code = sandbox.next_unused_code().parse::<MfaCode>();
                async move { Ok(code?) }
            });
            builder.code_source(read).build()?
        };
        provider.login().await.context("no MFA session")?;
        self.output
            .say("   accepted: one session for the whole day, and no further question");
        Ok(provider.sdk_config(&config))
    }

    /// Whether the instance leads to the user's own destination.
    pub fn stays_open(&self) -> bool {
        self.stays_open
    }

    /// Uses the tunnel and ends it.
    ///
    /// # Errors
    /// When a byte is wrong or the tunnel ends otherwise than asked.
    pub async fn finish(self, tunnel: Tunnel, mut signals: Signals) -> anyhow::Result<ExitCode> {
        self.output.say("\n3. The tunnel:");
        let address = tunnel
            .local_addr()
            .context("the tunnel has no local port")?;
        let mut events = tunnel.events();
        let session_id = tunnel.session_id();
        let output = self.output;
        let printing = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                output.event(&event, &session_id);
            }
        });
        let using = async {
            tunnel.ready().await?;
            demo::transfer(address, UPLOAD, DOWNLOAD).await
        };
        let transfer = tokio::select! {
            transfer = using => Some(transfer),
            () = signals.next() => None,
        };
        let ended = or_leave(tunnel.close(), output, &mut signals).await;
        drop(tunnel);
        printing.await?;
        let Some(transfer) = transfer else {
            return Ok(ExitCode::from(exit::INTERRUPTED));
        };
        let transfer = transfer?;
        ended?;
        let mb = |rate: f64| rate / 1e6;
        self.output.say(&format!(
            "\n4. {} MiB up at {:.1} MB/s and {} MiB down at {:.2} MB/s went through {address}, every byte\n\
             compared by SHA-256. (The agent itself sends one message of 1 KiB a millisecond.)\n\
             The session is terminated; nothing was installed, nothing is left.",
            UPLOAD >> 20,
            mb(transfer.upload),
            DOWNLOAD >> 20,
            mb(transfer.download),
        ));
        Ok(ExitCode::SUCCESS)
    }
}
