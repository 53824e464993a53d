"""Whom the death of a process group is charged to, and what the queue keeps."""

import asyncio

from divscale.training.queue import ItemQueue
from divscale.training.work import Failed


def result(key):
    return Failed(key, f"{key}: it was as it was")


async def filled(*keys, max_attempts=2):
    queue = ItemQueue(max_attempts)
    await queue.put([(key, [key]) for key in keys])
    await queue.begin()
    return queue


def test_a_death_between_two_items_is_charged_to_neither():
    async def story():
        queue = await filled("a", "b", max_attempts=1)
        await queue.take(1, 0)
        await queue.report(1, 0, result("a"))
        assert await queue.crashed("its node went down")  # this life had reached an item
        assert await queue.begin() == (2, 1)
        assert not await queue.crashed("it never came up")
        await queue.begin()
        await queue.take(3, 1)
        await queue.report(3, 1, result("b"))
        return await queue.news(0, None, 0, 1.0)

    results, *_ = asyncio.run(story())
    assert [r.reason for r in results] == ["a: it was as it was", "b: it was as it was"]


def test_a_death_at_work_is_charged_to_the_item_until_it_has_cost_its_lives():
    async def story():
        queue = await filled("a", "b")
        for run in (1, 2):
            await queue.take(run, 0)
            await queue.crashed("out of memory")
            await queue.begin()
        assert await queue.take(3, 1) == ["b"]
        return await queue.news(0, None, 0, 1.0)

    (failed,), *_ = asyncio.run(story())
    assert "died 2 times" in failed.reason and "out of memory" in failed.reason


def test_a_result_that_was_delivered_is_forgotten():
    async def story():
        queue = await filled("a", "b")
        for position, key in enumerate("ab"):
            await queue.take(1, position)
            await queue.report(1, position, result(key))
        first, *_ = await queue.news(1, None, 0, 1.0)
        await queue.put([("c", ["c"])])
        await queue.report(1, 2, result("c"))
        return first, (await queue.news(2, None, 0, 1.0))[0], queue._results

    first, second, kept = asyncio.run(story())
    assert [r.key for r in first] == ["b"] and [r.key for r in second] == ["c"]
    assert [r and r.key for r in kept] == [None, None, "c"]
