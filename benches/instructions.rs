//! The client alone, which sends or receives N messages of 1 KiB; `benches/instructions.sh` counts its
//! instructions. The peer is a separate process.

#![expect(clippy::print_stdout, reason = "the parent process reads it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use bench_support::{Mode, PAYLOAD, Peer, relay};
use ssm_relay::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["peer", direction, messages] => peer(direction, count(messages)),
        [direction @ ("send" | "receive"), messages] => client(direction, messages),
        _ => panic!("give `send` or `receive`, and how many messages"),
    }
}

fn count(messages: &str) -> u64 {
    messages.parse().expect("a number of messages")
}

/// The service and the agent: prints its URL; once the stream is open, sends or waits.
fn peer(direction: &str, messages: u64) {
    let peer = Peer::start(Mode::Sink, true, PAYLOAD);
    println!("{}", peer.url());
    peer.wait_for(1);
    if direction == "receive" {
        peer.flood(messages);
        // The parent kills this process.
        std::thread::park();
    }
    peer.wait_for(1 + messages * (PAYLOAD as u64 - 8));
    println!("done");
}

fn client(direction: &str, messages: &str) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["peer", direction, messages])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = move || lines.next().expect("a line").expect("text");
    let url = line();
    // One thread, so that the order of execution does not vary.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let bytes = (count(messages) * (PAYLOAD as u64 - 8)) as usize;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let _relay = relay(&url, Limits::default(), Some(listener)).await;
        let mut tcp = TcpStream::connect(address).await.expect("accepted");
        tcp.set_nodelay(true).expect("a TCP socket");
        tcp.write_all(b"x").await.expect("taken");
        if direction == "send" {
            let data = vec![0x5a; 64 << 10];
            let mut left = bytes;
            while left > 0 {
                let part = left.min(data.len());
                tcp.write_all(&data[..part]).await.expect("taken");
                left -= part;
            }
            let done = tokio::task::spawn_blocking(line);
            assert_eq!(done.await.expect("no panic"), "done");
        } else {
            let mut buffer = vec![0; 64 << 10];
            let mut left = bytes;
            while left > buffer.len() {
                left -= tcp.read(&mut buffer).await.expect("an open connection");
            }
        }
    });
    let _ = child.kill();
    child.wait().expect("it ends");
    let _ = std::io::stdout().flush();
}
