/**
 * The words in which a modelled host is described and tells of itself: which Linux it runs, what a device does, what
 * went wrong, and what the model leaves out.
 */
@NullMarked
package dev.kvmvfio.mock.model;

import org.jspecify.annotations.NullMarked;
