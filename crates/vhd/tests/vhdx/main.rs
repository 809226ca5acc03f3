//! VHDX against real files, other tools, a model in memory, kills and hostile input.

mod corpus;
mod crash;
mod model;
mod second_opinions;
mod tools;
