package dev.kvmvfio.vmm;

/** As much of a PC's keyboard controller, at port 0x64, as it takes to reset the machine: Linux's {@code reboot=k}. */
final class KeyboardController implements PortDevice {
    static final int PORT = 0x64;
    static final int PORTS = 1;

    private static final int READY = 0;
    private static final int RESET = 0xfe;

    private final Runnable reset;

    KeyboardController(Runnable reset) {
        this.reset = reset;
    }

    @Override
    public int read(int offset, int size) {
        return READY;
    }

    @Override
    public void write(int offset, int size, int value) {
        if (value == RESET) {
            reset.run();
        }
    }
}
