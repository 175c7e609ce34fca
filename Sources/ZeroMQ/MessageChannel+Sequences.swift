extension MessageChannel {
    /// The messages that a channel receives.
    ///
    /// Ends when the channel is closed and all are read, or the task is cancelled.
    public struct Messages: AsyncSequence, Sendable {
        /// What the sequence yields.
        public typealias Element = Message

        // The channel itself and not its core, so that an iteration keeps the channel open.
        let channel: MessageChannel

        /// Makes an iterator; several iterators share the messages.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(channel: channel) }

        /// Takes messages one by one.
        public struct AsyncIterator: AsyncIteratorProtocol {
            fileprivate let channel: MessageChannel

            /// The next message; nil at the end or when the task is cancelled.
            public mutating func next() async -> Message? {
                await channel.core.inbound.next()
            }

            /// The next message; nil at the end or when the task is cancelled.
            public mutating func next(isolation actor: isolated (any Actor)?) async -> Message? {
                await channel.core.inbound.next()
            }
        }
    }

    /// The events of a channel; ends when the channel is closed and all are read, or the task is cancelled.
    public struct Events: AsyncSequence, Sendable {
        /// What the sequence yields.
        public typealias Element = ChannelEvent

        let channel: MessageChannel

        /// Makes an iterator; several iterators share the events.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(channel: channel) }

        /// Takes events one by one.
        public struct AsyncIterator: AsyncIteratorProtocol {
            fileprivate let channel: MessageChannel

            /// The next event; nil at the end or when the task is cancelled.
            public mutating func next() async -> ChannelEvent? {
                await channel.core.events.next()
            }

            /// The next event; nil at the end or when the task is cancelled.
            public mutating func next(isolation actor: isolated (any Actor)?) async -> ChannelEvent? {
                await channel.core.events.next()
            }
        }
    }
}
