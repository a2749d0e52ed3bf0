/** What this library needs and its users do not. */
@NullMarked
package dev.kvmvfio.internal;

import org.jspecify.annotations.NullMarked;
