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
    /** Some Java run-times leave the module {@code jdk.jfr} out. */
    private static final boolean AVAILABLE = isThere();

    private FlightRecorder() {
    }

    /**
     * Whether a recording was ever begun in this process. Until then the events' classes are not even loaded, which takes
     * some 30 ms.
     *
     * @return true from the first recording on
     */
    public static boolean isInUse() {
        return AVAILABLE && jdk.jfr.FlightRecorder.isInitialized();
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
