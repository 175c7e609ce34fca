/// Received messages that wait for the consumer, bounded in number and bytes.
///
/// The socket's thread asks ``pauseIfFull()`` before it receives. The pause ends when half of the room is free, so that
/// a slow consumer does not wake the thread for every message.
struct InboundBuffer: MailboxBuffer {
    private var messages = RingQueue<Message>()
    private(set) var byteCount = 0
    private(set) var receivedMessages = 0
    private(set) var isPaused = false
    private var hasRoomSignal = false
    private let messagesMax: Int
    private let bytesMax: Int

    init(limits: ChannelLimits) {
        messagesMax = max(limits.inboundMessages, 1)
        bytesMax = max(limits.inboundBytes, 1)
    }

    var messageCount: Int { messages.count }

    mutating func append(_ message: Message) {
        messages.append(message)
        byteCount += message.byteCount
        receivedMessages += 1
    }

    mutating func popFirst() -> Message? {
        guard let message = messages.popFirst() else { return nil }
        byteCount -= message.byteCount
        if isPaused, messages.count <= messagesMax / 2, byteCount <= bytesMax / 2 {
            isPaused = false
            hasRoomSignal = true
        }
        return message
    }

    mutating func takeRoomSignal() -> Bool {
        defer { hasRoomSignal = false }
        return hasRoomSignal
    }

    /// Whether reception must stop; it may go on after the room signal.
    mutating func pauseIfFull() -> Bool {
        if messages.count >= messagesMax || byteCount >= bytesMax { isPaused = true }
        return isPaused
    }
}
