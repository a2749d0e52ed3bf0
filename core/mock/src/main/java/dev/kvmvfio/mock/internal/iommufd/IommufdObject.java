package dev.kvmvfio.mock.internal.iommufd;

/** Something with a number in an iommufd. Others may use it, and as long as they do it cannot be destroyed. */
public abstract class IommufdObject {
    private final IommufdFile file;
    private int id;
    private int users;

    IommufdObject(IommufdFile file) {
        this.file = file;
    }

    public final IommufdFile file() {
        return file;
    }

    public final int id() {
        return id;
    }

    final void setId(int number) {
        id = number;
    }

    final void addUser() {
        users++;
    }

    final void removeUser() {
        users--;
    }

    final boolean isUsed() {
        return users > 0;
    }

    /** Gives back what the object holds. Its number is free already. */
    abstract void destroy();
}
