"""A target whose module does not import asyncio before it runs."""


def raise_in_a_callback(options):
    import asyncio

    def fail():
        raise ValueError("in a callback")

    async def main():
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0.01)

    asyncio.run(main())
    return "went on"
