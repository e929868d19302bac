//! A network before Postgres that forgets its connections: they stay open, and nothing comes through any more.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    /// Where the database is reached through it.
    pub(crate) url: String,
    /// How often all connections fell silent.
    silences: watch::Sender<u32>,
}

impl Proxy {
    /// One before the database of this URL.
    pub(crate) async fn before(url: &str) -> Self {
        let (account, rest) = url.rsplit_once('@').unwrap();
        let (address, database) = rest.split_once('/').unwrap();
        let (silences, heard) = watch::channel(0);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{account}@{}/{database}", listener.local_addr().unwrap());
        let address = address.to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let database = TcpStream::connect(&address).await.unwrap();
                tokio::spawn(carry(client, database, heard.clone()));
            }
        });
        Self { url, silences }
    }

    /// Nothing comes through the connections that there are; new ones work.
    pub(crate) fn fall_silent(&mut self) {
        self.silences.send_modify(|count| *count += 1);
    }
}

async fn carry(mut client: TcpStream, mut database: TcpStream, mut heard: watch::Receiver<u32>) {
    heard.mark_unchanged();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut database) => {}
        Ok(()) = heard.changed() => std::future::pending().await,
    }
}
