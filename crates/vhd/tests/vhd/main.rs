//! VHD against real files, other tools, a plain model, cuts at every write, and hostile input.

mod corpus;
mod interop;
mod model;
mod tools;
