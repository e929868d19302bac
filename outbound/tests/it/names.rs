//! A resolver with scripted answers.

use futures::future::BoxFuture;
use outbound::Resolver;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;

/// The answers to lookups of each name; the last one is given again and again. A name without answers has an error.
#[derive(Default)]
pub(crate) struct Names {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    lookups: Mutex<Vec<String>>,
}

impl Names {
    /// Adds a name. Each answer is a list of addresses that is separated by spaces.
    pub(crate) fn with(mut self, name: &str, answers: &[&str]) -> Self {
        let parse = |answer: &&str| answer.split_whitespace().map(|text| text.parse().unwrap()).collect();
        self.answers
            .insert(name.to_owned(), answers.iter().map(parse).collect());
        self
    }

    /// The names of all lookups so far.
    pub(crate) fn lookups(&self) -> Vec<String> {
        self.lookups.lock().unwrap().clone()
    }
}

impl Resolver for Names {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let mut lookups = self.lookups.lock().unwrap();
        let earlier = lookups.iter().filter(|earlier| *earlier == name).count();
        lookups.push(name.to_owned());
        let answer = match self.answers.get(name) {
            Some(answers) => Ok(answers.get(earlier).or(answers.last()).unwrap().clone()),
            None => Err(io::Error::other("no such name")),
        };
        Box::pin(std::future::ready(answer))
    }
}
