//! One suite for every implementation of [`Documents`].

use super::*;
