package dev.kvmvfio.internal;

/** Whether JDK Flight Recorder wants this library's events. */
public final class FlightRecorder {
    /** Some Java run-times leave the module {@code jdk.jfr} out. */
    private static final boolean AVAILABLE = isThere();

    private FlightRecorder() {
    }

    /** From the first recording of this process on. Until then the events' classes are not even loaded: some 30 ms. */
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
