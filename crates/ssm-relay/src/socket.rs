use std::io::{self, IoSlice, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection that the runtime watches, except while somebody reads it by the clock.
///
/// A watched socket wakes the process for every segment that arrives, whether anybody wants to read
/// now or not: `EPOLLET` tells of each arrival, and the runtime cannot ask for less.
#[derive(Debug)]
pub(crate) struct Socket(State);

#[derive(Debug)]
enum State {
    Watched(TcpStream),
    /// Not blocking. Whoever reads it hears of nothing that comes later.
    Unwatched(std::net::TcpStream),
    /// It could not be given to the runtime, or taken from it.
    Lost,
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self(State::Watched(tcp))
    }
}

impl Socket {
    #[cfg(test)]
    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        match &self.0 {
            State::Watched(tcp) => tcp.nodelay(),
            State::Unwatched(tcp) => tcp.nodelay(),
            State::Lost => Err(lost()),
        }
    }

    /// Whether what arrives wakes the task that reads.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.0, State::Watched(_))
    }

    /// Has what arrives wake the task that reads, or not. After a change nobody is woken until the
    /// socket was polled again. Needs the runtime; after an error the connection is gone.
    pub(crate) fn set_watched(&mut self, watched: bool) -> io::Result<()> {
        self.0 = match std::mem::replace(&mut self.0, State::Lost) {
            State::Watched(tcp) if !watched => State::Unwatched(tcp.into_std()?),
            State::Unwatched(tcp) if watched => State::Watched(TcpStream::from_std(tcp)?),
            state => state,
        };
        Ok(())
    }

    /// Writes without the runtime, or with it once the socket takes no more: it tells when it does.
    fn poll_write_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        unwatched: impl Fn(&std::net::TcpStream) -> io::Result<T>,
        watched: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let State::Unwatched(tcp) = &self.0 {
            if let Poll::Ready(outcome) = at_once(|| unwatched(tcp)) {
                return Poll::Ready(outcome);
            }
            self.set_watched(true)?;
        }
        match &mut self.0 {
            State::Watched(tcp) => watched(Pin::new(tcp), cx),
            State::Unwatched(_) | State::Lost => Poll::Ready(Err(lost())),
        }
    }
}

/// Does it now, or not at all.
fn at_once<T>(mut act: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
    loop {
        match act() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            outcome => return Poll::Ready(outcome),
        }
    }
}

fn lost() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "the runtime could not watch the connection",
    )
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            State::Watched(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            State::Unwatched(tcp) => at_once(|| tcp.read(buffer.initialize_unfilled()))
                .map_ok(|length| buffer.advance(length)),
            State::Lost => Poll::Ready(Err(lost())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(
            cx,
            |mut tcp| tcp.write(data),
            |tcp, cx| tcp.poll_write(cx, data),
        )
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(
            cx,
            |mut tcp| tcp.write_vectored(data),
            |tcp, cx| tcp.poll_write_vectored(cx, data),
        )
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is written is the system's already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.set_watched(true)?;
        match &mut this.0 {
            State::Watched(tcp) => Pin::new(tcp).poll_shutdown(cx),
            State::Unwatched(_) | State::Lost => Poll::Ready(Err(lost())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use socket2::SockRef;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);
    /// What the system keeps of a connection, about.
    const BUFFER: usize = 64 << 10;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (ours, theirs) = tokio::join!(listener.accept(), TcpStream::connect(address));
        let (ours, theirs) = (ours.expect("accepted").0, theirs.expect("connected"));
        for tcp in [&ours, &theirs] {
            let tcp = SockRef::from(tcp);
            tcp.set_send_buffer_size(BUFFER).expect("a size");
            tcp.set_recv_buffer_size(BUFFER).expect("a size");
        }
        (Socket::from(ours), theirs)
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Reads once, and whoever wakes for it is counted.
    fn read_once(socket: &mut Socket, count: &Arc<Count>) -> Poll<usize> {
        let waker = Waker::from(count.clone());
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        Pin::new(socket)
            .poll_read(&mut Context::from_waker(&waker), &mut buffer)
            .map(|outcome| outcome.map(|()| buffer.filled().len()).expect("it is open"))
    }

    #[tokio::test]
    async fn what_arrives_unwatched_wakes_nobody_and_is_there_to_be_read() {
        let (mut ours, mut theirs) = pair().await;
        let count = Arc::new(Count::default());
        assert!(read_once(&mut ours, &count).is_pending());
        ours.set_watched(false).expect("the runtime lets go");
        let before = count.0.load(Ordering::SeqCst);
        assert!(read_once(&mut ours, &count).is_pending());
        theirs.write_all(b"data").await.expect("written");
        let read = tokio::time::timeout(PATIENCE, async {
            loop {
                match read_once(&mut ours, &count) {
                    Poll::Ready(length) => return length,
                    Poll::Pending => tokio::task::yield_now().await,
                }
            }
        });
        assert_eq!(read.await.expect("it arrives"), 4);
        assert_eq!(count.0.load(Ordering::SeqCst), before);
    }

    #[tokio::test]
    async fn a_socket_watched_again_tells_of_what_arrived_before_and_after() {
        let (mut ours, mut theirs) = pair().await;
        ours.set_watched(false).expect("the runtime lets go");
        theirs.write_all(b"before").await.expect("written");
        ours.set_watched(true).expect("the runtime takes it");
        for word in [&b"before"[..], b"after"] {
            let mut data = [0; 6];
            let read = ours.read(&mut data);
            let length = tokio::time::timeout(PATIENCE, read).await.expect("woken");
            assert_eq!(data.get(..length.expect("it is open")), Some(word));
            theirs.write_all(b"after").await.expect("written");
        }
    }

    #[tokio::test]
    async fn an_unwatched_socket_that_takes_no_more_is_watched_until_it_does() {
        let (mut ours, mut theirs) = pair().await;
        ours.set_watched(false).expect("the runtime lets go");
        ours.write_all(b"a little").await.expect("written");
        assert!(!ours.is_watched());
        let much = vec![7; 4 << 20];
        let (wrote, read) = tokio::join!(
            async {
                for piece in much.chunks(BUFFER) {
                    ours.write_all(piece).await.expect("written");
                }
                ours.is_watched()
            },
            async {
                let mut data = vec![0; 8 + much.len()];
                theirs.read_exact(&mut data).await.map(|_| data)
            },
        );
        assert!(wrote, "it took 4 MiB at once");
        let read = read.expect("all of it");
        assert_eq!(read.get(..8), Some(&b"a little"[..]));
        assert!(read.get(8..) == Some(&much[..]));
    }

    #[tokio::test]
    async fn either_end_of_file_passes_an_unwatched_socket() {
        let (mut ours, mut theirs) = pair().await;
        ours.set_watched(false).expect("the runtime lets go");
        ours.shutdown().await.expect("it is open");
        assert_eq!(theirs.read(&mut [0; 8]).await.expect("an end-of-file"), 0);
        ours.set_watched(false).expect("the runtime lets go");
        drop(theirs);
        ours.set_watched(true).expect("the runtime takes it");
        let mut nothing = [0; 8];
        let read = tokio::time::timeout(PATIENCE, ours.read(&mut nothing)).await;
        assert_eq!(read.expect("woken").expect("an end-of-file"), 0);
    }
}
