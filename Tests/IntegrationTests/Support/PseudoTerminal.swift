import Foundation
import Synchronization

/// A terminal of a given width, and the text that a program writes to it.
final class PseudoTerminal: Sendable {
    /// The program's side.
    let device: FileHandle
    private let master: Int32
    private let received = Mutex(Data())

    /// `TIOCSPTLCK` and `TIOCGPTN` of ioctl_tty(2), which the Glibc module hides.
    private static let (unlock, askNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)

    /// Opens a terminal.
    ///
    /// - Throws: ``WaitError`` when no terminal is available.
    init(columns: Int) throws {
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        var (lock, number): (Int32, UInt32) = (0, 0)
        guard master >= 0, ioctl(master, Self.unlock, &lock) == 0, ioctl(master, Self.askNumber, &number) == 0 else {
            throw WaitError(description: "no terminal: errno \(errno)")
        }
        let name = "/dev/pts/\(number)"
        var size = winsize(ws_row: 24, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
        let slave = open(name, O_RDWR | O_NOCTTY)
        guard slave >= 0, ioctl(slave, UInt(TIOCSWINSZ), &size) == 0 else {
            throw WaitError(description: "no terminal: errno \(errno)")
        }
        device = FileHandle(fileDescriptor: slave, closeOnDealloc: false)
        let master = master
        Thread.detachNewThread {
            var block = [UInt8](repeating: 0, count: 1 << 14)
            while true {
                let count = read(master, &block, block.count)
                guard count > 0 else { return }
                self.received.withLock { $0.append(contentsOf: block[..<count]) }
            }
        }
    }

    /// The text so far.
    var text: String { received.withLock { String(decoding: $0, as: UTF8.self) } }

    /// Closes both sides, like a closed terminal window.
    func close() {
        try? device.close()
        Foundation.close(master)
    }
}
