package dev.kvmvfio.kernel;

/**
 * The events that this library has for JDK Flight Recorder: {@code kvmvfio.Ioctl}, an ioctl with its file, its result
 * and how long it took, and {@code kvmvfio.VcpuExit}, a run of a vCPU with the reason of its end. They are off until a
 * recording switches them on, and cost nothing that can be measured until then:
 *
 * <pre>
 * java -XX:StartFlightRecording:kvmvfio.Ioctl#enabled=true,kvmvfio.VcpuExit#enabled=true,filename=calls.jfr …
 * jfr print --events 'kvmvfio.*' calls.jfr
 * </pre>
 */
public final class FlightRecorder {
    /** Whether there are events: some Java run-times leave the module {@code jdk.jfr} out. */
    public static final boolean AVAILABLE = isThere();

    private FlightRecorder() {
    }

    private static boolean isThere() {
        try {
            Class.forName("jdk.jfr.Event");
            return true;
        } catch (ClassNotFoundException | LinkageError absent) {
            return false;
        }
    }
}
