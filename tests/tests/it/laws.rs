//! L3: memory and SQL agree, on both databases. The laws in memory stand in the package beside this one.

mod databases;
