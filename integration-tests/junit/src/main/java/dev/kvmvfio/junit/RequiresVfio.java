package dev.kvmvfio.junit;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Inherited;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Marks a test, or a class of tests, for machines with VFIO: those where a device can be attached now.
 * On others it is skipped, with the cause that {@link dev.kvmvfio.passthrough.HostCheck} tells.
 *
 * <p>A skipped test is easily overlooked where it should have run. With {@code -Ddev.kvmvfio.missing=fail}, or that line
 * in {@code junit-platform.properties}, it fails instead: set it in continuous integration.
 */
@Documented
@Inherited
@Retention(RetentionPolicy.RUNTIME)
@Target({ElementType.TYPE, ElementType.METHOD})
@SuppressWarnings("exports") // only JUnit uses the condition
@ExtendWith(VfioCondition.class)
public @interface RequiresVfio {
}
